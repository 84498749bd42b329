"""Pass rates of one funder by risk grade, over a trailing window of outcomes (contract, section 3, Pass rate).

Only the funder's own answers count: `timed_out` and `failed` say nothing about its appetite. Outcomes are counted
by the hour, so the window's edge is exact to the hour.
"""

from typing import Literal

import msgspec

from config.rotation import Funder
from rotation.clock import DAY, MINUTE
from rotation.outputs import FunderOutcome

_HOUR = 60 * MINUTE
#: Digits published of a rate.
_DIGITS = 6


class HourCount(msgspec.Struct, array_like=True):
    """Outcomes of one hour (number since the epoch): loans, and refusals with walk-aways."""

    hour: int
    disbursed: int = 0
    missed: int = 0


class FunderRecord(msgspec.Struct, array_like=True):
    """What is known of one funder. The value of the funders table.

    `sources` holds, for each borrower partition, the offset of the last outcome counted, since re-keyed outcomes
    may come twice. `published` are the rates last published, at `published_at` (ms); None before the first.
    `signals` counts the direct evidence of capture by kind. `trace` are the trace headers of the last outcome since.
    """

    hours: dict[str, list[HourCount]] = msgspec.field(default_factory=dict)
    sources: dict[int, int] = msgspec.field(default_factory=dict)
    published: dict[str, float] | None = None
    published_at: int = 0
    signals: dict[str, int] = msgspec.field(default_factory=dict)
    trace: list[tuple[str, bytes]] = msgspec.field(default_factory=list)


def count(record: FunderRecord, outcome: FunderOutcome, source: tuple[int, int]) -> None:
    """Count one outcome; `source` is the borrower partition and offset it came from. Repeats change nothing."""
    partition, offset = source
    if offset <= record.sources.get(partition, -1):
        return
    record.sources[partition] = offset
    if outcome.status in ("timed_out", "failed"):
        return
    hours = record.hours.setdefault(outcome.risk_grade, [])
    number = outcome.occurred_at // _HOUR
    bucket = next((hour for hour in reversed(hours) if hour.hour == number), None)
    if bucket is None:
        bucket = HourCount(number)
        hours.append(bucket)
        hours.sort(key=lambda hour: hour.hour)
    if outcome.status == "disbursed":
        bucket.disbursed += 1
    else:
        bucket.missed += 1


def pass_rates(record: FunderRecord, funder: Funder, window_days: int, now: int) -> dict[str, float]:
    """The smoothed rate of each accepted grade at `now` (ms); hours that left the window are forgotten.

    (rate·strength + disbursed) / (strength + disbursed + declined + cancelled), with the configured prior.
    """
    first = (now - window_days * DAY) // _HOUR
    prior = funder.pass_rate_prior
    rates: dict[str, float] = {}
    for grade in funder.grades:
        hours = record.hours[grade] = [hour for hour in record.hours.get(grade, []) if hour.hour > first]
        disbursed = sum(hour.disbursed for hour in hours)
        answered = disbursed + sum(hour.missed for hour in hours)
        rates[grade] = round((prior.rate * prior.strength + disbursed) / (prior.strength + answered), _DIGITS)
    return rates


_VERSION: Literal[1] = 1
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FunderRecord)


def encode_funder(record: FunderRecord) -> bytes:
    """The stored form: version byte, msgpack."""
    return bytes((_VERSION,)) + _encoder.encode(record)


def decode_funder(stored: bytes | None) -> FunderRecord:
    """The record of a stored value; a new one for None.

    Raises:
        ValueError: written by a version that this one does not know.
    """
    if stored is None:
        return FunderRecord()
    if stored[0] != _VERSION:
        raise ValueError(f"funder record of unknown version {stored[0]}")
    return _decoder.decode(memoryview(stored)[1:])
