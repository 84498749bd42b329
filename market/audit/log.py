"""The recorded topics as values: records, and what the contract says of each input record.

Stateless judgement only (contract, section 5, up to `unknown_funder`); what needs the decisions is in `history`.
"""

from collections.abc import Container
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from rotation.events import CaptureSignal, DrawdownRequest, millis
from streams.log import LogRecord

MAX_VALUE_BYTES: Final = 64 * 1024
FUTURE_MS: Final = 5 * 60 * 1000
Event = TypeVar("Event", bound=msgspec.Struct)
Position = tuple[str, int, int]


class Record(LogRecord, frozen=True):
    """A Kafka record as it was read back. `topic` is without the common prefix.

    `received` is the wall clock (ms) at which the reader got it; None when the worker runs on the stream clock, where
    no record can be in the future.
    """

    received: int | None = None

    @property
    def position(self) -> Position:
        """Where it lies: topic, partition, offset."""
        return (self.topic, self.partition, self.offset)

    def header(self, name: str) -> str | None:
        """The header of that name as text, None when there is none."""
        return next((value.decode(errors="replace") for key, value in self.headers if key == name and value), None)


class Bad(msgspec.Struct, frozen=True):
    """Input that cannot be used: the dead-letter reason that the contract calls for."""

    reason: str


def judge(record: Record, kind: type[Event], funders: Container[str]) -> Event | Bad:
    """The event of that kind in an input record, or the first reason that applies before any state is looked at."""
    event = _parse(record, kind)
    if isinstance(event, Bad):
        return event
    id_in_body = event.funder_id if isinstance(event, CaptureSignal) else getattr(event, "customer_id", None)
    if record.key is None or record.key != str(id_in_body).encode():
        return Bad("key_mismatch")
    if record.received is not None and record.timestamp > record.received + FUTURE_MS:
        return Bad("timestamp_in_future")
    funder_id = getattr(event, "funder_id", None)
    if funder_id is not None and funder_id not in funders:
        return Bad("unknown_funder")
    return event


def time_ms(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time with zone; `msgspec.ValidationError` for anything else."""
    return millis(msgspec.convert(text, type=datetime))


def content(request: DrawdownRequest) -> DrawdownRequest:
    """What makes two requests the same: all fields but `event_id` and `occurred_at` (contract, section 8)."""
    return msgspec.structs.replace(request, event_id="-", occurred_at=datetime.fromtimestamp(0, UTC))


def _parse(record: Record, kind: type[Event]) -> Event | Bad:
    if record.value is None:
        return Bad("schema")
    if len(record.value) > MAX_VALUE_BYTES:
        return Bad("too_large")
    try:
        msgspec.json.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Bad("not_json")
    try:
        return msgspec.json.decode(record.value, type=kind)
    except msgspec.ValidationError:
        return Bad("schema")
