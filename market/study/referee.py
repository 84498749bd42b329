"""The referee of a study: checks every routing by itself, without the core's arithmetic, and counts what breaks a rule.

It knows what the market did: the lines that were granted, the loans that are owed, the drawdowns of each day.
"""

from collections import Counter, defaultdict
from collections.abc import Set
from dataclasses import dataclass, field

from config.rotation import Funder
from market.study.funders import Line
from market.study.population import Person, Visit
from rotation.clock import DAY, MINUTE
from rotation.state import LedgerEntry

_SHANGHAI = 8 * 60 * MINUTE


@dataclass(slots=True)
class Account:
    """What is true of a borrower: `lines` that are open, `owed` at each funder (fen), funders tried by drawdown."""

    lines: dict[str, Line] = field(default_factory=dict)
    owed: Counter[str] = field(default_factory=Counter)
    tried: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


class Referee:
    """Counts `violations` by rule, and `overruns` of quotas."""

    def __init__(self, funders: dict[str, Funder], cap_bp: int) -> None:
        self._funders = funders
        self._cap_bp = cap_bp
        self._amounts: Counter[tuple[str, int]] = Counter()
        self._counts: Counter[tuple[str, int]] = Counter()
        self.violations: Counter[str] = Counter()
        self.overruns = 0

    def routed(
        self, entry: LedgerEntry, person: Person, account: Account, visit: Visit, paused: Set[str], at: int
    ) -> None:
        """A drawdown was routed at `at` (ms), as the entry says; `paused` are those that may get nothing now."""
        funder_id, quota = entry.funder_id, self._funders[entry.funder_id].quota
        broken = self._broken(funder_id, entry.drawdown_id, person, account, visit, at)
        self.violations.update([*broken, "paused"] if funder_id in paused else broken)
        account.tried[entry.drawdown_id].add(funder_id)
        account.owed[funder_id] += visit.amount
        day = (funder_id, shanghai_day(at))
        self._amounts[day] += visit.amount
        self._counts[day] += 1
        self.overruns += self._amounts[day] > quota.daily_amount or self._counts[day] > quota.daily_count

    def allowed(self, drawdown_id: str, person: Person, account: Account, visit: Visit, at: int) -> list[str]:
        """The funders that could have the drawdown at `at` (ms), were there room and nobody paused by the ladder."""
        return [each for each in self._funders if not self._broken(each, drawdown_id, person, account, visit, at)]

    def came_to_nothing(self, funder_id: str, account: Account, amount: int, decided_at: int) -> None:
        """The drawdown that was routed at `decided_at` (ms) is no loan."""
        account.owed[funder_id] -= amount
        day = (funder_id, shanghai_day(decided_at))
        self._amounts[day] -= amount
        self._counts[day] -= 1

    def _broken(
        self, funder_id: str, drawdown_id: str, person: Person, account: Account, visit: Visit, at: int
    ) -> list[str]:
        funder, line = self._funders[funder_id], account.lines.get(funder_id)
        broken = {
            "no_live_grant": line is None,
            "grant_limit": line is not None and line.limit - account.owed[funder_id] < visit.amount,
            "apr_above_cap": line is not None and line.apr_bp > self._cap_bp,
            "region": funder.regions != "all" and person.region not in funder.regions,
            "grade": person.grade not in funder.grades,
            "age": not funder.age[0] <= person.age <= funder.age[1],
            "amount": not funder.amount[0] <= visit.amount <= funder.amount[1],
            "term": visit.term_months not in funder.terms,
            "closed": not _is_open(funder.open, (at + _SHANGHAI) % DAY // MINUTE),
            "paused": funder.status == "paused",
            "already_tried": funder_id in account.tried[drawdown_id],
        }
        return [rule for rule, is_broken in broken.items() if is_broken]


def shanghai_day(at: int) -> int:
    """The number of the Shanghai day of a time (ms)."""
    return (at + _SHANGHAI) // DAY


def _is_open(hours: str, minute: int) -> bool:
    opens, closes = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    return opens <= minute < closes if opens < closes else minute >= opens or minute < closes
