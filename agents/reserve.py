"""Asking the reservation book, with the patience that its absence takes.

No book, no new reservations: the batch waits, the worker says that it is not ready, and nothing is lost or guessed.
A book that lost its memory is told again what this worker's borrowers hold before anything is reserved on it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from rotation.ledger import restorations
from rotation.reservations import FunderLimits, Operation, Reserve, Reserved, Restore
from rotation.state import decode_borrower
from streams.batches import Batch
from streams.guide import Guide
from streams.metrics import BOOK_WAITS
from streams.reservations import BookUnavailable, NeedsRestore, RedisBook
from streams.table import PartitionedTable

log = logging.getLogger("loanrouter.reserve")

#: Seconds between two tries, from the first to the last.
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)

#: An operation of a partition's borrower.
Placed = tuple[int, Operation]


class Reservations:
    """The book, as the borrowers' agent uses it."""

    def __init__(
        self, book: RedisBook, guide: Guide, borrowers: PartitionedTable, held: Callable[[], frozenset[int]]
    ) -> None:
        """`held` tells which partitions of `borrowers` are ours at this moment."""
        self._book = book
        self._guide = guide
        self._borrowers = borrowers
        self._held = held
        self._unwritten: list[Placed] = []
        self._waits_for: str | None = "the reservation book was not asked yet"

    def waits_for(self) -> str | None:
        """Why the worker is not ready on behalf of the book; None when it is."""
        return self._waits_for

    def begin(self) -> None:
        """A new batch begins: what was asked for the last one is written down, or was given up."""
        self._unwritten.clear()

    async def apply(
        self, batch: Batch, operations: Sequence[Placed], limits: Mapping[str, FunderLimits]
    ) -> list[Reserved | None]:
        """One call for a wave of operations. Waits while the book is away; raises `Revoked` with the batch."""
        tries = 0
        while (answers := await batch.or_revoked(self._try([op for _, op in operations], limits))) is None:
            await batch.or_revoked(asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)]))
            tries += 1
        pairs = zip(operations, answers, strict=True)
        self._unwritten += [(partition, _answered(op, answer)) for (partition, op), answer in pairs]
        return answers

    async def keep(self) -> None:
        """See that the book remembers what the borrowers of our partitions hold, also while nothing is asked."""
        await self._try([], self._guide.policy.limits)

    async def _try(
        self, operations: Sequence[Operation], limits: Mapping[str, FunderLimits]
    ) -> list[Reserved | None] | None:
        """The answers, or None when the book cannot answer now."""
        try:
            try:
                answers = await self._book.apply(operations, limits)
            except NeedsRestore as error:
                for partition in self._held().intersection(error.partitions):
                    await self._restore(partition, limits)
                answers = await self._book.apply(operations, limits)
        except BookUnavailable as error:
            self._wait("unavailable", str(error))
        except NeedsRestore as error:
            self._wait("restoring", str(error))
        else:
            self._waits_for = None
            return answers
        return None

    async def _restore(self, partition: int, limits: Mapping[str, FunderLimits]) -> None:
        log.warning("telling the reservation book what the borrowers of partition %d hold", partition)
        await self._book.restore(partition, self._holdings(partition), limits)

    def _holdings(self, partition: int) -> Iterator[Operation]:
        for key, stored in self._borrowers.partition_items(partition):
            yield from restorations(key.decode(), decode_borrower(stored))
        for asked_in, operation in self._unwritten:
            if asked_in == partition:
                yield operation

    def _wait(self, why: str, reason: str) -> None:
        BOOK_WAITS.labels(why).inc()
        if self._waits_for != reason:
            log.warning("waiting for the reservation book: %s", reason)
        self._waits_for = reason


def _answered(operation: Operation, answer: Reserved | None) -> Operation:
    """What tells a book of an operation that another one has already answered."""
    if not isinstance(operation, Reserve) or answer is None or answer.funder_id is None:
        return operation
    return Restore(
        id=operation.id,
        funder_id=answer.funder_id,
        amount=operation.amount,
        decided_at=operation.now,
        day=operation.day,
        due=operation.due,
        outstanding=operation.amount,
    )
