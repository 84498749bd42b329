"""Whether a revision that is let in by steps does worse by its borrowers than the one before it does by the others."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush
from math import sqrt
from typing import Final, NamedTuple

from rotation.events import DrawdownOutcome, millis
from rotation.outputs import Decision

#: By how much (of all decisions) a share may be higher before a ramp is stopped, and how sure it has to be: many looks
#: are taken, so more standard errors than one look would need.
MARGIN: Final = 0.02
ERRORS: Final = 4.0


class _Counted:
    """Under one revision: first decisions on drawdowns, those that held or rejected, those that gave rules up; routed
    drawdowns whose time to become a loan is over, and those of them that became none."""

    def __init__(self) -> None:
        self.decided = self.unserved = self.relaxed = 0
        self.ended = self.lost = 0


class _Measure(NamedTuple):
    """How many of how many fared badly, under the new revision and under the old one."""

    what: str
    of_what: str
    mine: int
    of_mine: int
    yours: int
    of_yours: int


class Guardrail:
    """Watches a ramp: revision `new` for a share of the borrowers, `old` for the others, from `begin` on (RFC 3339)."""

    def __init__(self, old: int, new: int, begin: str, least: int, patience: int) -> None:
        """`least` is how many of either kind there have to be before anything is said.

        A routed drawdown has `patience` (ms) to become a loan, at whichever funder. Only when that is over it is
        looked at, whatever came of it: or those whose answer is quick would stand for all, and the younger of the two
        revisions would fare worse by its age alone.
        """
        self._begin, self._begins = begin, millis(datetime.fromisoformat(begin))
        self._least = least
        self._patience = patience
        self._old, self._new = old, new
        self._counted = {old: _Counted(), new: _Counted()}
        self._seen: set[str] = set()
        self._waiting: list[tuple[int, str, int]] = []
        self._funders: dict[str, set[str]] = {}
        self._lent: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        self._decided_until = self._answered_until = 0

    def take(self, decision: Decision) -> None:
        """Take a decision; those before the beginning, under other revisions, or said again do not count."""
        at = millis(datetime.fromisoformat(decision.decided_at))
        self._decided_until = max(self._decided_until, at)
        if decision.funder_id is not None and decision.drawdown_id in self._funders:
            self._funders[decision.drawdown_id].add(decision.funder_id)
        counted = self._counted.get(decision.config_revision)
        if counted is None or decision.decided_at < self._begin or decision.attempt != 1:
            return
        if decision.drawdown_id not in self._seen:
            self._seen.add(decision.drawdown_id)
            if decision.reasons != ["request_expired"]:
                counted.decided += 1
                counted.unserved += decision.status != "routed"
                counted.relaxed += decision.status == "routed" and bool(decision.relaxed)
        if decision.funder_id is not None and decision.drawdown_id not in self._funders:
            self._funders[decision.drawdown_id] = {decision.funder_id}
            heappush(self._waiting, (at + self._patience, decision.drawdown_id, decision.config_revision))

    def take_outcome(self, outcome: DrawdownOutcome, at: int) -> None:
        """Take an outcome with its timestamp (ms); it may come before the decision that it answers."""
        self._answered_until = max(self._answered_until, at)
        if outcome.status == "disbursed" and at >= self._begins:
            self._lent[outcome.drawdown_id].append((outcome.funder_id, at))

    def objection(self) -> str | None:
        """Why the ramp is to be stopped, with the numbers; None while there is no reason."""
        for each in self._measures():
            if min(each.of_mine, each.of_yours) < self._least:
                continue
            more = each.mine / each.of_mine - each.yours / each.of_yours
            errors = _errors(each)
            if more > MARGIN and errors > ERRORS:
                return (
                    f"{each.what}: {each.mine / each.of_mine:.1%} of {each.of_mine} {each.of_what} under revision "
                    f"{self._new}, {each.yours / each.of_yours:.1%} of {each.of_yours} under revision {self._old}: "
                    f"{errors:.1f} standard errors"
                )
        return None

    def silent(self) -> dict[str, str]:
        """What nothing can be said of yet, and why."""
        return {
            each.what: f"{each.of_mine} {each.of_what} under revision {self._new} and {each.of_yours} under revision "
            f"{self._old}, {self._least} of each are needed"
            for each in self._measures()
            if min(each.of_mine, each.of_yours) < self._least
        }

    def _measures(self) -> Iterator[_Measure]:
        self._look_at_loans()
        new, old = self._counted[self._new], self._counted[self._old]
        decisions = "first decisions"
        yield _Measure("unserved", decisions, new.unserved, new.decided, old.unserved, old.decided)
        yield _Measure("rules given up", decisions, new.relaxed, new.decided, old.relaxed, old.decided)
        minutes = f"drawdowns routed more than {self._patience / 60_000:g} minutes ago"
        yield _Measure("no loan", minutes, new.lost, new.ended, old.lost, old.ended)

    def _look_at_loans(self) -> None:
        """Look at the drawdowns whose time is over, as far as both decisions and outcomes are known."""
        until = min(self._decided_until, self._answered_until)
        while self._waiting and self._waiting[0][0] < until:
            due, drawdown_id, revision = heappop(self._waiting)
            funders, lent = self._funders[drawdown_id], self._lent.pop(drawdown_id, [])
            counted = self._counted[revision]
            counted.ended += 1
            counted.lost += not any(funder_id in funders and at <= due for funder_id, at in lent)


def _errors(measure: _Measure) -> float:
    """By how many standard errors the first proportion is above the second."""
    _, _, mine, of_mine, yours, of_yours = measure
    pooled = (mine + yours) / (of_mine + of_yours)
    error = sqrt(pooled * (1 - pooled) * (1 / of_mine + 1 / of_yours))
    return (mine / of_mine - yours / of_yours) / error if error else 0.0
