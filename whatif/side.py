"""What both replays of a partition have: borrowers, a book, counts."""

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import TypeVar

from rotation.decide import Steps
from rotation.reservations import Reserve, Reserved
from rotation.state import Borrower
from whatif.book import LaneBook
from whatif.tally import Tally

T = TypeVar("T")


class Side:
    """The borrowers, the book and the counts of one of the two replays."""

    def __init__(self, book: LaneBook) -> None:
        self.borrowers: defaultdict[str, Borrower] = defaultdict(Borrower)
        self.book = book
        self.tally = Tally()

    def close(self, since: int, customers: Collection[str]) -> Tally:
        """The counts at the end, of what was decided `since` then (ms) for these customers, or from the beginning."""
        borrowers = [self.borrowers[id_] for id_ in customers] if since else self.borrowers.values()
        self.tally.close(borrowers, self.book.held(), since)
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
