"""What both replays of a partition have: borrowers, a book, counts; and turns that keep their verdicts."""

from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from rotation.decide import Steps, Verdict
from rotation.outputs import DecisionStatus
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved
from rotation.state import Borrower, Drawdown
from rotation.turn import Turn
from whatif.book import LaneBook
from whatif.tally import Tally

T = TypeVar("T")


class Deciding(Turn):
    """A turn that keeps its verdicts, and says nothing: to write and remember decisions is a fifth of the work."""

    def __init__(self, customer_id: str, borrower: Borrower, policy: Policy) -> None:
        super().__init__(customer_id, borrower, policy)
        self.verdicts: list[tuple[Drawdown, DecisionStatus, Verdict]] = []

    def _decide(
        self, drawdown: Drawdown, status: DecisionStatus, now: int, reasons: list[str], verdict: Verdict
    ) -> None:
        drawdown.status = status
        drawdown.decided_at = now
        self.verdicts.append((drawdown, status, verdict))


class Side:
    """The borrowers, the book and the counts of one of the two replays."""

    def __init__(self, book: LaneBook) -> None:
        self.borrowers: defaultdict[str, Borrower] = defaultdict(Borrower)
        self.book = book
        self.tally = Tally()

    def close(self) -> Tally:
        """The counts at the end."""
        self.tally.close(self.borrowers.values(), self.book.held())
        return self.tally


def run(steps: Steps[T], answer: Callable[[Reserve], Reserved]) -> T:
    """Run steps to their end; what they return."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(answer(asked))
    except StopIteration as end:
        result: T = end.value
        return result
