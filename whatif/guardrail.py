"""Whether a revision that is let in by steps does worse by its borrowers than the one before it does by the others."""

from math import sqrt
from typing import Final, NamedTuple

from rotation.outputs import Decision

#: By how much (of all decisions) a share may be higher before a ramp is stopped, and how sure it has to be: many looks
#: are taken, so more standard errors than one look would need.
MARGIN: Final = 0.02
ERRORS: Final = 4.0


class Counted(NamedTuple):
    """First decisions on drawdowns under one revision: all, those that held or rejected, those that gave rules up."""

    all: int = 0
    unserved: int = 0
    relaxed: int = 0


class Guardrail:
    """Watches a ramp: revision `new` for a share of the borrowers, `old` for the others, from `begin` on (RFC 3339)."""

    def __init__(self, old: int, new: int, begin: str, least: int) -> None:
        """`least` is how many decisions of either kind there have to be before anything is said."""
        self._begin = begin
        self._least = least
        self._old, self._new = old, new
        self._counted = {old: Counted(), new: Counted()}
        self._seen: set[str] = set()

    def take(self, decision: Decision) -> None:
        """Count a decision, if it is the first one on a drawdown, under one of the two, and since the beginning."""
        counted = self._counted.get(decision.config_revision)
        if counted is None or decision.decided_at < self._begin or decision.drawdown_id in self._seen:
            return
        self._seen.add(decision.drawdown_id)
        if decision.attempt == 1 and decision.reasons != ["request_expired"]:
            unserved, relaxed = decision.status != "routed", decision.status == "routed" and bool(decision.relaxed)
            self._counted[decision.config_revision] = Counted(
                counted.all + 1, counted.unserved + unserved, counted.relaxed + relaxed
            )

    def objection(self) -> str | None:
        """Why the ramp is to be stopped, with the numbers; None while there is no reason."""
        new, old = self._counted[self._new], self._counted[self._old]
        if min(new.all, old.all) < self._least:
            return None
        for what, mine, yours in (
            ("unserved", new.unserved, old.unserved),
            ("rules given up", new.relaxed, old.relaxed),
        ):
            more = mine / new.all - yours / old.all
            errors = _errors(mine, new.all, yours, old.all)
            if more > MARGIN and errors > ERRORS:
                return (
                    f"{what}: {mine / new.all:.1%} of {new.all} first decisions under revision {self._new}, "
                    f"{yours / old.all:.1%} of {old.all} under revision {self._old}: {errors:.1f} standard errors"
                )
        return None


def _errors(mine: int, of_mine: int, yours: int, of_yours: int) -> float:
    """By how many standard errors the first proportion is above the second."""
    pooled = (mine + yours) / (of_mine + of_yours)
    error = sqrt(pooled * (1 - pooled) * (1 / of_mine + 1 / of_yours))
    return (mine / of_mine - yours / of_yours) / error if error else 0.0
