"""What both replays of a partition have: borrowers, a book, counts."""

from collections import defaultdict
from collections.abc import Collection

from rotation.state import Borrower
from whatif.book import LaneBook
from whatif.tally import Tally


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
