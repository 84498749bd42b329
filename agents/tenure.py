"""What a worker knows of a partition only while it holds it: who wants to be woken, and since when nothing came."""

from collections.abc import Mapping
from heapq import heappop, heappush

from rotation.plan import Phase


class Tenure:
    """One partition in our hands, for one generation of the group: others may have written before."""

    def __init__(self, marks: Mapping[bytes, int], generation: int, now: float) -> None:
        """`marks` tell when borrowers want to be woken (ms); `now` is the seconds of a monotonic clock.

        That clock stands still while a batch is in work.
        """
        self.generation = generation
        #: When the last records came; a partition just taken over may have many waiting.
        self.last_records = now
        #: Stream time (ms) up to which what falls due was looked at, be it that a clock alone moved it.
        self.reached = 0
        #: In which phase of the plan its held drawdowns were last considered.
        self.phase: Phase | None = None
        self._wake_at: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []
        for key, at in marks.items():
            self.set_wake(key.decode(), at)

    @property
    def held(self) -> int:
        """How many borrowers have a held drawdown."""
        return len(self._wake_at)

    def set_wake(self, customer_id: str, at: int | None) -> None:
        """When the borrower wants to be woken next (ms of stream time); None for never."""
        if at is None:
            self._wake_at.pop(customer_id, None)
        elif self._wake_at.get(customer_id) != at:
            self._wake_at[customer_id] = at
            heappush(self._queue, (at, customer_id))

    def due(self, now: int) -> dict[str, int]:
        """Who wants to be woken by `now`, and when; each has to be given a new time (or None) afterwards."""
        found = {}
        while self._queue and self._queue[0][0] <= now:
            at, customer_id = heappop(self._queue)
            if self._wake_at.get(customer_id) == at:
                del self._wake_at[customer_id]
                found[customer_id] = at
        return found

    def waiting(self) -> Mapping[str, int]:
        """All borrowers with a held drawdown, and when they want to be woken."""
        return self._wake_at
