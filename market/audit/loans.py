"""A routed drawdown as the outside can know it, and sums over many of them along stream time.

A reader of the topics does not know in which order the workers handled records of different topics or partitions, so
everything here has a low and a high side: what was surely owed, or possibly owed, at a time.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

SHANGHAI_MS = 8 * 3_600_000
DAY_MS = 86_400_000


def shanghai_day(at: int) -> int:
    """The number of the Shanghai day that `at` (ms) falls on."""
    return (at + SHANGHAI_MS) // DAY_MS


@dataclass(slots=True)
class Loan:
    """One routed decision, with the valid outcomes (ms, status, fen) and repayments (ms, fen still owed) after it."""

    funder_id: str
    drawdown_id: str
    attempt: int
    decided_at: int
    due: int
    amount: int
    outcomes: list[tuple[int, str, int]] = field(default_factory=list)
    repayments: list[tuple[int, int]] = field(default_factory=list)

    def views(self, at: int, slack_ms: int) -> list["View"]:
        """What the loan may look like at `at` (ms) to a worker that is at most `slack_ms` behind with its topics."""
        sure = _prefix(self.outcomes, at - slack_ms)
        possible = max(sure, _prefix(self.outcomes, at))
        return [self._view(handled, at, slack_ms) for handled in range(sure, possible + 1)]

    def steps(self, *, committed_for_good: bool) -> list[tuple[int, int]]:
        """(ms, fen) at each change of what the loan takes of its funder's room.

        That is of a day's quota, which a repayment does not give back (`committed_for_good`), or of the guarantee.
        """
        steps = [(self.decided_at, self.amount)]
        before_due = [o for o in self.outcomes if o[0] <= self.due]
        if not before_due:
            steps.append((self.due, 0))
        for at, status, amount in self.outcomes:
            steps.append((at, amount if status == "disbursed" else 0))
            if status == "disbursed" and not committed_for_good:
                owed = amount
                for paid_at, outstanding in self.repayments:
                    owed = min(owed, outstanding)
                    steps.append((max(at, paid_at), owed))
        return steps

    def _view(self, handled: int, at: int, slack_ms: int) -> "View":
        _, status, amount = self.outcomes[handled - 1] if handled else (at, "pending", self.amount)
        if status not in ("pending", "disbursed") or (status == "pending" and at >= self.due):
            return View(status == "cancelled", 0, 0)
        # A repayment may be read before the outcome that made the loan; what it tells is owed all the same.
        surely_paid_to = [owed for paid_at, owed in self.repayments if paid_at <= at - slack_ms]
        maybe_paid_to = [owed for paid_at, owed in self.repayments if paid_at <= at]
        return View(True, min([amount, *maybe_paid_to]), min([amount, *surely_paid_to]))


@dataclass(frozen=True, slots=True)
class View:
    """One way a loan may look: whether it is in the borrower's ledger, and the least and most that is owed (fen)."""

    in_ledger: bool
    low: int
    high: int


class Usage:
    """What many loans take of one limit, as two step functions of stream time: amount (fen) and number."""

    def __init__(self, *, skew_ms: int, committed_for_good: bool) -> None:
        self._skew = skew_ms
        self._for_good = committed_for_good
        self._low: list[tuple[int, int, int]] = []
        self._high: list[tuple[int, int, int]] = []
        self._sums: tuple[_Sums, _Sums] | None = None

    def add(self, loan: Loan) -> None:
        """Count one more loan. `skew_ms` is how far partitions' stream times may lie apart at one moment."""
        steps = loan.steps(committed_for_good=self._for_good)
        start, skew = loan.decided_at, self._skew
        self._low.append((start, loan.amount, 1))
        self._high.append((start - skew, loan.amount, 1))
        for (_, before), (at, after) in pairwise(steps):
            delta, count = after - before, (after > 0) - (before > 0)
            falls = delta < 0
            self._low.append((max(at - skew if falls else at + skew, start), delta, count))
            self._high.append((at + skew if falls else at - skew, delta, count))
        first = loan.outcomes[0] if loan.outcomes else None
        if first and first[0] <= loan.due < first[0] + skew:  # others may have seen it expired before this outcome
            self._low.append((max(loan.due - skew, start), -steps[1][1], -(steps[1][1] > 0)))
            self._low.append((first[0] + skew, steps[1][1], steps[1][1] > 0))
        self._sums = None

    def low(self, at: int) -> tuple[int, int]:
        """(fen, number) surely taken at `at`, every loan decided up to then included."""
        return self._frozen()[0].at(at)

    def high(self, at: int) -> tuple[int, int]:
        """(fen, number) possibly taken at `at`."""
        return self._frozen()[1].at(at)

    def _frozen(self) -> tuple["_Sums", "_Sums"]:
        if self._sums is None:
            self._sums = _Sums(self._low), _Sums(self._high)
        return self._sums


class _Sums:
    def __init__(self, deltas: list[tuple[int, int, int]]) -> None:
        deltas = sorted(deltas)
        self._times = [at for at, _, _ in deltas]
        self._amounts = list(accumulate((amount for _, amount, _ in deltas), initial=0))
        self._counts = list(accumulate((count for _, _, count in deltas), initial=0))

    def at(self, at: int) -> tuple[int, int]:
        index = bisect_right(self._times, at)
        return self._amounts[index], self._counts[index]


def _prefix(outcomes: list[tuple[int, str, int]], until: int) -> int:
    """How many outcomes, in the order of the log, a worker that has handled all up to `until` (ms) has handled."""
    return next((index for index in range(len(outcomes), 0, -1) if outcomes[index - 1][0] <= until), 0)
