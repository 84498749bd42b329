"""What another `never_last` would have made of one decision, as far as the decision and its borrower's past can tell.

A longer memory only takes funders away, and the order of the others stays: who is first among those left is certain,
but for room in their quotas. A shorter one brings funders back, of whom only `loanrouter` itself could tell the rank.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from config.rotation import RotationConfig
from console.board import Event
from console.ledgers import ledger
from rotation.events import millis
from rotation.outputs import Decision

RULE = "never_last"


class Supposed(NamedTuple):
    """The answer for one `n`: who would be first (None: rules would be given up), and who would be candidates too."""

    n: int
    first: str | None
    back: tuple[str, ...]


def suppose(decision: Decision, config: RotationConfig, past: Iterable[Event], longest: int = 4) -> list[Supposed]:
    """The answers for `n` from 0 to `longest` but the configured one; none when it cannot be told.

    `past` is what is known of the borrower. It is believed only when it explains the decision as it is.
    """
    rule = config.rotation.never_last
    if rule is None or decision.funder_id is None or decision.relaxed:
        return []
    counted = ledger(past, config, at=_at(decision), but=decision.decision_id)
    barred = {funder_id for funder_id, codes in decision.excluded.items() if RULE in codes}
    if set(counted[-rule.n :]) != barred:
        return []
    answers = []
    for n in range(longest + 1):
        if n == rule.n or n > len(counted):
            continue
        now_barred = set(counted[-n:]) if n else set()
        left = [each.funder_id for each in decision.candidates if each.funder_id not in now_barred]
        back = tuple(sorted(id_ for id_ in barred - now_barred if decision.excluded[id_] == [RULE]))
        answers.append(Supposed(n, left[0] if left else None, back))
    return answers


def _at(decision: Decision) -> int:
    return millis(datetime.fromisoformat(decision.decided_at))
