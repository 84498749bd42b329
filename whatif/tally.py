"""What the decisions on recorded traffic come to, counted alike for the recorded ones and for the draft's."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from rotation.clock import shanghai_day
from rotation.state import COUNTED, Borrower
from whatif.book import Account, Amounts, plus

#: Borrowers with fewer entries in their ledger say nothing of how they are shared out.
LEAST_ENTRIES = 3
_BINS = 20


class Tally(msgspec.Struct):
    """Counts of one partition, or of several that were added up. Money in fen.

    `served`: drawdowns that found a funder; `routed`: decisions and their amount by funder; `relaxed`: routed decisions
    by rule given up; `tops`: borrowers by the share of the funder that has most of their ledger, in twentieths;
    `funders`: borrowers by how many funders drawdowns of theirs went to; `held`: what quotas hold by funder and day.
    """

    requests: int = 0
    served: int = 0
    routed: dict[str, tuple[int, int]] = {}
    relaxed: Counter[str] = msgspec.field(default_factory=Counter)
    tops: list[int] = msgspec.field(default_factory=lambda: [0] * (_BINS + 1))
    top_sum: float = 0.0
    funders: Counter[int] = msgspec.field(default_factory=Counter)
    held: dict[Account, tuple[int, int]] = {}

    def route(self, funder_id: str, amount: int, attempt: int, relaxed: Iterable[str]) -> None:
        """Count one routed decision."""
        self.served += attempt == 1
        self.routed[funder_id] = plus(self.routed.get(funder_id, (0, 0)), (1, amount))
        for rule in relaxed:
            self.relaxed[rule] += 1

    def close(self, borrowers: Iterable[Borrower], held: Amounts, since: int) -> None:
        """Count what stands at the end: borrowers' ledgers and quotas, of what was decided `since` then (ms)."""
        first = shanghai_day(since)
        self.held = {account: amounts for account, amounts in held.items() if not account[1] or account[1] >= first}
        for borrower in borrowers:
            ledger = [entry for entry in borrower.ledger if entry.decided_at >= since]
            self.funders[len({entry.funder_id for entry in ledger})] += 1
            counted = Counter(entry.funder_id for entry in ledger if entry.status in COUNTED)
            entries = counted.total()
            if entries >= LEAST_ENTRIES:
                top = max(counted.values()) / entries
                self.tops[round(top * _BINS)] += 1
                self.top_sum += top

    def add(self, other: "Tally") -> None:
        """Add another partition's counts."""
        self.requests += other.requests
        self.served += other.served
        for funder_id, counts in other.routed.items():
            self.routed[funder_id] = plus(self.routed.get(funder_id, (0, 0)), counts)
        self.relaxed.update(other.relaxed)
        self.tops = [one + another for one, another in zip(self.tops, other.tops, strict=True)]
        self.top_sum += other.top_sum
        self.funders.update(other.funders)
        for account, held in other.held.items():
            self.held[account] = plus(self.held.get(account, (0, 0)), held)
