"""How far the worker is behind on an input, in records and in seconds.

Seconds are known without reading ahead. Whoever looks at the end of a partition from time to time knows that what lies
beyond an end seen earlier came after that moment; and what follows a record is not older than the record (but only the
wall clock can tell how old a record is). The later of the two is the most that can have gone by.
"""

from collections import deque
from typing import NamedTuple

MOST_ENDS = 1000


class Lag(NamedTuple):
    """Records not done yet, and for how long (seconds) the oldest of them has waited at most."""

    records: int
    seconds: float


class Fetched(NamedTuple):
    """What was fetched last of a partition: the offset after it, and its first and last timestamp (ms)."""

    next_offset: int
    first: int
    last: int


class Behind:
    """One partition of an input, from the moment it was assigned."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque(maxlen=MOST_ENDS)

    def saw_end(self, end: int, now: float) -> None:
        """The partition ends at offset `end` at `now` (seconds of the epoch)."""
        self._ends.append((now, end))

    def lag(self, done: int, fetched: Fetched | None, now: float) -> Lag | None:
        """The lag when all records before offset `done` are; None before an end was seen.

        `fetched` is given on the wall clock only.
        """
        if not self._ends:
            return None
        while len(self._ends) > 1 and self._ends[1][1] <= done:
            self._ends.popleft()
        records = self._ends[-1][1] - done
        if records <= 0:
            return Lag(0, 0.0)
        since = self._ends[0][0]
        if fetched is not None:
            known = (fetched.last if fetched.next_offset <= done else fetched.first) / 1000
            since = max(since, known) if self._ends[0][1] <= done else known
        return Lag(records, max(0.0, now - since))
