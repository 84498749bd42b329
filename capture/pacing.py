"""Quotas paced over the day: the price of a funder's room, found by dual mirror descent.

S. R. Balseiro, H. Lu, V. Mirrokni: *The best of many worlds: dual mirror descent for online allocation problems*,
Operations Research 71, 2023. Each quota has a price. It rises as the quota is used faster than what is left of it
would be if it were spread evenly over what is left of the funder's opening hours, and falls, never below 0, as it is
used more slowly. A draw by weight takes whoever has the greatest ln(weight) + chance (rotation.choice), so the price is
taken off ln(weight). Of the two quotas of a funder the one that is used up further counts. A price outlives midnight,
since tomorrow's demand is likely to be as today's.

A funder's agent knows its loans, and says the price in `funder-states`, which every decision names: so replay is exact.
The price knows of loans when their outcomes come. Drawdowns still open are known to the book alone, which stays the
hard limit.
"""

from capture.record import FunderRecord, Pace
from config.rotation import Funder, Pacing
from rotation.clock import DAY, MINUTE, minutes_open, shanghai_midnight

#: The published price moves in steps of this size, so that it does not move with every loan.
_STEPS_PER_UNIT = 20


def lent(pace: Pace, amount: int, decided_at: int) -> None:
    """A loan of `amount` (fen) came of a decision at `decided_at` (ms): it counts on that Shanghai day."""
    midnight = shanghai_midnight(decided_at)
    fen, loans = pace.lent.get(midnight, (0, 0))
    pace.lent[midnight] = (fen + amount, loans + 1)
    for old in [day for day in pace.lent if day < midnight - DAY]:
        del pace.lent[old]


def price(record: FunderRecord, funder: Funder, rules: Pacing, now: int) -> float:
    """The price at `now` (ms) of a drawdown at the funder, in units of ln(weight)."""
    pace = record.pace
    pace.at = pace.at or shanghai_midnight(now)
    while shanghai_midnight(pace.at) < shanghai_midnight(now):
        tomorrow = shanghai_midnight(pace.at) + DAY
        _descend(pace, funder, rules, tomorrow - 1)
        # Where nothing was lent since, no day between changes anything once the price is 0.
        pace.at, pace.used = (tomorrow, 0.0) if pace.price else (shanghai_midnight(now), 0.0)
    if now > pace.at:
        _descend(pace, funder, rules, now)
    return round(pace.price * _STEPS_PER_UNIT) / _STEPS_PER_UNIT


def _descend(pace: Pace, funder: Funder, rules: Pacing, until: int) -> None:
    """One step of the descent, from when the price was last looked at to `until`, on the same day."""
    midnight = shanghai_midnight(until)
    fen, loans = pace.lent.get(midnight, (0, 0))
    quota = funder.quota
    used = max(fen / max(1, quota.daily_amount), loans / max(1, quota.daily_count))
    left = _open_from(funder, pace.at - midnight)
    passed = left - _open_from(funder, until - midnight)
    even = max(0.0, 1 - pace.used) * passed / left if left else 0.0
    pace.price = max(0.0, pace.price + rules.step * (used - pace.used - even))
    pace.used, pace.at = used, until


def _open_from(funder: Funder, since: int) -> float:
    """For how many minutes of the Shanghai day the funder is open from `since` (ms after midnight) on."""
    opens, closes = minutes_open(funder.open)
    minute = since / MINUTE
    if opens < closes:
        return max(0.0, closes - max(opens, minute))
    return max(0.0, closes - minute) + DAY / MINUTE - max(opens, minute)
