"""Asking the reservation book, with the patience that its absence takes.

No book, no new reservations: the batch waits, the worker says that it is not ready, and nothing is lost or guessed.
A book that lost its memory is told again what this worker's borrowers hold before anything is reserved on it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

from rotation.ledger import restorations
from rotation.reservations import FunderLimits, Operation, Reserved, Restore
from rotation.state import decode_borrower
from streams.batches import Batch
from streams.guide import Guide
from streams.metrics import BOOK_WAITS
from streams.reservations import BookUnavailable, NeedsRestore, RedisBook
from streams.table import PartitionedTable

log = logging.getLogger("loanrouter.reserve")

#: Seconds between two tries, from the first to the last.
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
_OTHERS = "it lost its memory, and {} partitions are not told to it again yet"


class Reservations:
    """The book, as the borrowers' agent uses it."""

    def __init__(
        self, book: RedisBook, guide: Guide, borrowers: PartitionedTable, held: Callable[[], Set[int]]
    ) -> None:
        """`held` tells which partitions of `borrowers` are ours at this moment."""
        self._book = book
        self._guide = guide
        self._borrowers = borrowers
        self._held = held
        self._waits_for: str | None = "the reservation book was not asked yet"

    def waits_for(self) -> str | None:
        """Why the worker is not ready on behalf of the book; None when it is."""
        return self._waits_for

    async def apply(
        self, batch: Batch, operations: Sequence[tuple[int, Operation]], limits: Mapping[str, FunderLimits]
    ) -> list[Reserved | None]:
        """One call for a wave of operations. Waits while the book is away; raises `Revoked` with the batch."""
        tries = 0
        while True:
            try:
                answers = await batch.or_revoked(self._book.apply(operations, limits))
            except BookUnavailable as error:
                self._wait("unavailable", str(error))
            except NeedsRestore as error:
                ours = error.partitions & self._held()
                for partition in ours:
                    await batch.or_revoked(self._restore(partition, limits))
                if ours:
                    continue
                self._wait("restoring", _OTHERS.format(len(error.partitions)))
            else:
                self._waits_for = None
                return answers
            await batch.or_revoked(asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)]))
            tries += 1

    async def keep(self) -> None:
        """See that the book remembers what the borrowers of our partitions hold, also while nothing is asked."""
        limits = self._guide.policy.limits
        try:
            try:
                await self._book.apply([], limits)
            except NeedsRestore as error:
                for partition in error.partitions & self._held():
                    await self._restore(partition, limits)
                await self._book.apply([], limits)
            self._waits_for = None
        except BookUnavailable as error:
            self._wait("unavailable", str(error))
        except NeedsRestore as error:
            self._wait("restoring", _OTHERS.format(len(error.partitions)))

    async def _restore(self, partition: int, limits: Mapping[str, FunderLimits]) -> None:
        log.warning("telling the reservation book again what the borrowers of partition %d hold", partition)
        await self._book.restore(partition, self._holdings(partition), limits)

    def _holdings(self, partition: int) -> Iterator[Restore]:
        for key, stored in self._borrowers.partition_items(partition):
            yield from restorations(key.decode(), decode_borrower(stored))

    def _wait(self, why: str, reason: str) -> None:
        BOOK_WAITS.labels(why).inc()
        if self._waits_for != reason:
            log.warning("waiting for the reservation book: %s", reason)
        self._waits_for = reason
