"""Who came back: what funders' agents must know of borrowers beyond outcomes, to tell who does not return."""

from collections.abc import Iterator

from rotation.outputs import Departure, FunderReturn
from rotation.state import Borrower, LedgerEntry

_MISSES: dict[str, Departure] = {"declined": "refusal", "cancelled": "walk_away"}


def back_for_more(borrower: Borrower, now: int) -> Iterator[FunderReturn]:
    """The borrower asks for money at `now` (ms): each departure that waited for it, once."""
    for entry in borrower.ledger:
        yield from _back(entry, now)


def served_elsewhere(borrower: Borrower, drawdown_id: str, now: int) -> Iterator[FunderReturn]:
    """A drawdown was disbursed at `now` (ms): who turned an earlier attempt down did not take the borrower away."""
    for entry in borrower.ledger:
        if entry.drawdown_id == drawdown_id and entry.status in _MISSES:
            yield from _back(entry, now)


def _back(entry: LedgerEntry, now: int) -> Iterator[FunderReturn]:
    if not entry.returned and entry.status == "disbursed":
        entry.returned = True
        yield FunderReturn(entry.funder_id, entry.risk_grade, "loan", entry.decided_at, now)
    elif not entry.returned and entry.status in _MISSES:
        entry.returned = True
        # A later attempt may fail for what an earlier one did.
        if entry.attempt == 1:
            after = "dead_end" if entry.alone else _MISSES[entry.status]
            yield FunderReturn(entry.funder_id, entry.risk_grade, after, entry.decided_at, now)
    if entry.settled_early_at:
        yield FunderReturn(entry.funder_id, entry.risk_grade, "settlement", entry.settled_early_at, now)
        entry.settled_early_at = 0
