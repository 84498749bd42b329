"""A borrower's ledger as the board's events tell it, and what a borrower's top funder holds of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from config.rotation import MaxShare, RotationConfig
from console.board import Event

_NO_LOAN = ("declined", "timed_out", "failed")


class TopShare(NamedTuple):
    """Over `borrowers` with a full ledger: what the top funder holds on average, and how many are above the cap."""

    borrowers: int
    mean: float
    above: int


def ledger(past: Iterable[Event], config: RotationConfig, *, at: int, but: str = "") -> list[str]:
    """The funders of the counted drawdowns up to `at` (ms), oldest first, but for the decision of id `but`."""
    routed: dict[tuple[str, int], tuple[int, str]] = {}
    outcomes: dict[tuple[str, int], str] = {}
    for event in sorted(past, key=lambda event: event.at):
        says = event.says
        if event.at > at:
            continue
        if event.topic == "routing-decisions" and says["funder_id"] and says["decision_id"] != but:
            routed.setdefault((says["drawdown_id"], says["attempt"]), (event.at, says["funder_id"]))
        elif event.topic == "drawdown-outcomes":
            outcomes[says["drawdown_id"], says["attempt"]] = says["status"]
    ended = at - config.reservation.ttl_seconds * 1000
    return [
        funder_id
        for asked, (decided_at, funder_id) in sorted(routed.items(), key=lambda each: each[1])
        if (outcomes[asked] not in _NO_LOAN if asked in outcomes else decided_at > ended)
    ]


def top_share(ledgers: Iterable[Sequence[str]], rule: MaxShare) -> TopShare | None:
    """What top funders hold of the last `of_last` entries; None where no ledger has so many."""
    tops = [
        Counter(entries[-rule.of_last :]).most_common(1)[0][1] for entries in ledgers if len(entries) >= rule.of_last
    ]
    if not tops:
        return None
    return TopShare(len(tops), sum(tops) / len(tops) / rule.of_last, sum(top > rule.most for top in tops))
