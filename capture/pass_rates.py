"""Pass rates of one funder by risk grade, over a trailing window of outcomes (contract, section 3, Pass rate).

Only the funder's own answers count: `timed_out` and `failed` say nothing about its appetite. Outcomes are counted
by the hour, so the window's edge is exact to the hour.
"""

from capture.record import FunderRecord, HourCount
from config.rotation import Funder
from rotation.clock import DAY, HOUR
from rotation.outputs import FunderOutcome

#: Digits published of a rate.
_DIGITS = 6


def count(record: FunderRecord, outcome: FunderOutcome) -> None:
    """Count an answer of the funder."""
    hours = record.hours.setdefault(outcome.risk_grade, [])
    number = outcome.occurred_at // HOUR
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
    first = (now - window_days * DAY) // HOUR
    prior = funder.pass_rate_prior
    rates: dict[str, float] = {}
    for grade in funder.grades:
        hours = record.hours[grade] = [hour for hour in record.hours.get(grade, []) if hour.hour > first]
        disbursed = sum(hour.disbursed for hour in hours)
        answered = disbursed + sum(hour.missed for hour in hours)
        rates[grade] = round((prior.rate * prior.strength + disbursed) / (prior.strength + answered), _DIGITS)
    return rates
