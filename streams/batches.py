"""What an agent reads and answers: batches of records by partition, and what to write for them.

A `Batch` is what fetches brought for one agent, as far as its order is known. Its body is

    async for batch in batches:
        async with batch:
            await batch.commit(decide(batch))

Leaving the `async with` ends the batch: the next one is handed on. `Revoked` inside it drops the batch; any other
exception ends the process with nothing acknowledged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from streams.log import LogRecord

T = TypeVar("T")


Record = LogRecord
"""One record as it was fetched."""


class Revoked(Exception):
    """The partitions of a batch are no longer, or not surely, ours: whoever holds them now reads its records again."""


class Output(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One record to publish. `timestamp` in milliseconds; without `partition` Kafka's murmur2 of the key decides.

    Key, value and a header's value may be null, as those of a dead letter are when the record's were.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class PartitionResult:
    """What a batch means for one partition: changed keys (None deletes), the new memo, and what to publish."""

    changes: Mapping[bytes, bytes | None]
    memo: bytes
    outputs: list[Output]


@dataclass(frozen=True, slots=True)
class PartitionBatch:
    """One partition number's share of a batch.

    `records` are those of all the agent's topics in timestamp order (one topic's own records always in offset
    order). `state` is the partition's table, read only, without the changes of this batch: on disk, so reading all of
    it takes long. `marks` are numbers that are kept in memory of those records that have one (`batch_agent`). `memo` is
    what the last commit of this partition left (empty at first).
    """

    partition: int
    topics: tuple[str, ...]
    records: list[Record]
    state: Mapping[bytes, bytes]
    memo: bytes
    marks: Mapping[bytes, int] = field(default_factory=dict)


class Batch:
    """What is handed on to one agent at a time; without records it is a tick over the partitions where none waits.

    `revoked` is set when a rebalance or a shutdown has waited long enough: stop waiting and raise `Revoked`.
    """

    def __init__(
        self,
        partitions: list[PartitionBatch],
        generation: int,
        next_offsets: Mapping[int, Mapping[str, int]],
        commit: Callable[["Batch", Mapping[int, PartitionResult]], Awaitable[None]],
        on_end: Callable[["Batch"], None],
    ) -> None:
        self.partitions = partitions
        self.generation = generation
        self.next_offsets = next_offsets
        self.revoked = asyncio.Event()
        self.begun = False
        self.writing = False
        self.given_up = False
        self.ended = asyncio.Event()
        self._committed = False
        self._commit = commit
        self._on_end = on_end

    @property
    def is_tick(self) -> bool:
        """Whether this batch has no records."""
        return not self.next_offsets

    async def commit(self, results: Mapping[int, PartitionResult]) -> None:
        """Write `results` (by partition number), publish their outputs, and make the batch's offsets committable.

        Returns when all of it is confirmed by Kafka. A partition left out has nothing to change. Raises `Revoked`
        when the partitions are not surely ours any more, `ForeignWrite` when another worker wrote to them.
        """
        self.writing = True
        await self._commit(self, results)
        self._committed = True

    async def or_revoked(self, awaitable: Awaitable[T]) -> T:
        """Await something that may take long (Redis away); raises `Revoked` when the batch is revoked first."""
        work = asyncio.ensure_future(awaitable)
        revoked = asyncio.ensure_future(self.revoked.wait())
        try:
            await asyncio.wait((work, revoked), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise Revoked
        finally:
            work.cancel()
            revoked.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None and not self._committed:
            raise RuntimeError("an agent left a batch without committing it")
        self.ended.set()
        if error is None:
            self._on_end(self)
        return isinstance(error, Revoked)
