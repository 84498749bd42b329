"""How a batch becomes durable: changelog, store, outputs, offsets, in this order and each confirmed before the next.

Per partition one Kafka batch holds the changed keys, the outputs (the outbox) and, always last, the position. So a
crash anywhere leaves either nothing, or all that the next owner needs to publish the same bytes and go on.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.producer.message_accumulator import BatchBuilder
from faust.types import TP

from streams.agent import BatchAgent
from streams.batches import Batch, Output, PartitionResult, Revoked
from streams.metrics import BATCH_SECONDS
from streams.positions import (
    POSITION_KEY,
    RESERVED,
    STAMP_HEADER,
    Position,
    encode_outbox,
    encode_position,
    outbox_key,
    stamp,
)
from streams.producer import Row, content
from streams.topics import partition_of

if TYPE_CHECKING:
    from streams.app import LoanrouterApp

Changes = dict[bytes, bytes | None]
Packed = dict[TP, list[BatchBuilder]]


class ForeignWrite(Exception):
    """Another worker wrote to a changelog partition of ours: this process must start again from the changelog."""


class Write(NamedTuple):
    """What to write to one changelog partition."""

    epoch: int
    changes: Changes
    position: Position


def _rows(write: Write, now: int) -> Iterator[Row]:
    mark = stamp(write.epoch)
    for key, payload in write.changes.items():
        if payload is None:
            yield key, None, now, ((STAMP_HEADER, mark),)
        else:
            yield key, mark + payload, now, ()
    yield POSITION_KEY, mark + encode_position(write.position), now, ()


def _check(changes: Mapping[bytes, bytes | None]) -> None:
    if min(changes, default=b"\x01")[:1] in (b"", RESERVED) or b"" in changes.values():
        raise ValueError("a key must not be empty nor begin with a zero byte, and a payload must not be empty")


class Committer:
    """Writes for one agent."""

    def __init__(self, app: "LoanrouterApp", agent: BatchAgent) -> None:
        self._app = app
        self._agent = agent
        self._table = agent.table

    async def commit(self, batch: Batch, results: Mapping[int, PartitionResult]) -> None:
        """Make `results` durable and the batch's offsets committable; see `Batch.commit`."""
        for result in results.values():
            _check(result.changes)
        await self._confirm(batch)
        writes, packed = {}, {}
        for partition, result in results.items():
            if self._changes_nothing(partition, result):
                continue
            packed[partition] = await self._pack(result.outputs)
            offsets = batch.next_offsets.get(partition, {})
            writes[partition] = self._write_of(partition, result, offsets, packed[partition])
        begun = time.monotonic()
        await self._write(writes, batch)
        written = time.monotonic()
        if any(packed.values()):
            await self._confirm(batch)
            await asyncio.gather(*(self._publish(outputs) for outputs in packed.values()))
        for partition in writes:
            self._table.partition(partition).unsent = False
        self._app.consumer.acknowledge(
            {
                TP(topic, partition): offset
                for partition, offsets in batch.next_offsets.items()
                for topic, offset in offsets.items()
            }
        )
        if writes:
            BATCH_SECONDS.labels(self._agent.name, "write").observe(written - begun)
            BATCH_SECONDS.labels(self._agent.name, "commit").observe(time.monotonic() - written)

    async def take_over(self, partitions: Iterable[int], generation: int, committed: Mapping[TP, int]) -> None:
        """Claim partitions that somebody else wrote last, and publish what their last owner may not have published.

        The claim is a position under a higher epoch than any seen: later records of the former owner do not count.
        """
        claims = {}
        unsent = []
        for partition in partitions:
            state = self._table.partition(partition)
            position = state.position
            if state.unsent and position.from_records:
                state.unsent = any(
                    committed.get(TP(topic, partition), -1) < offset for topic, offset in position.offsets.items()
                )
            if state.unsent:
                unsent += state.outbox()
            if state.needs_claim:
                claims[partition] = Write(max(state.epoch + 1, generation), state.unrepaired(), position)
        await self._write(claims)
        await self._publish(await self._pack(unsent))
        for partition in partitions:
            self._table.partition(partition).unsent = False

    async def _confirm(self, batch: Batch) -> None:
        topics = (*self._agent.topics, self._table.changelog_topic_name)
        tps = [TP(topic, part.partition) for part in batch.partitions for topic in topics]
        await self._app.consumer.lease.confirm(batch.generation, tps)
        self._raise_if_given_up(batch)

    def _raise_if_given_up(self, batch: Batch | None) -> None:
        if batch is not None and batch.given_up:
            raise Revoked("the rebalance did not wait for this batch any longer")

    def _changes_nothing(self, partition: int, result: PartitionResult) -> bool:
        memo = self._table.partition(partition).position.memo
        return not result.changes and not result.outputs and result.memo == memo

    def _write_of(self, partition: int, result: PartitionResult, offsets: Mapping[str, int], outputs: Packed) -> Write:
        state = self._table.partition(partition)
        position = state.position
        contents = [(tp.topic, tp.partition, content(batch)) for tp, batches in outputs.items() for batch in batches]
        pieces = encode_outbox(position.sequence + 1, contents)
        position = Position(
            sequence=position.sequence + bool(pieces),
            offsets={**position.offsets, **offsets},
            memo=result.memo,
            pieces=len(pieces),
            from_records=bool(offsets),
        )
        outbox = {outbox_key(index): piece for index, piece in enumerate(pieces)}
        return Write(state.owned_epoch, {**result.changes, **outbox}, position)

    async def _write(self, writes: Mapping[int, Write], batch: Batch | None = None) -> None:
        now = int(time.time() * 1000)
        topic = self._table.changelog_topic_name
        producer = self._app.producer
        packed = {partition: producer.pack(_rows(write, now)) for partition, write in writes.items()}
        sent = await asyncio.gather(
            *(producer.send_batches(TP(topic, partition), batches) for partition, batches in packed.items())
        )
        self._raise_if_given_up(batch)  # recovery has read these records, or will
        for (partition, write), batches in zip(writes.items(), sent, strict=True):
            state = self._table.partition(partition)
            for base_offset, count in batches:
                if base_offset != state.next_offset:
                    raise ForeignWrite(
                        f"{topic}, partition {partition}: our records are at offset {base_offset}, where"
                        f" {state.next_offset} was expected"
                    )
                state.next_offset += count
            state.written(*write, now)

    async def _pack(self, outputs: Sequence[Output]) -> Packed:
        producer = self._app.producer
        counts = {topic: await producer.partitions(topic) for topic in {output.topic for output in outputs}}
        rows: dict[tuple[str, int], list[Row]] = defaultdict(list)
        for output in outputs:
            topic, partition = output.topic, output.partition
            if partition is None:
                partition = partition_of(output.key or b"", counts[topic])
            rows[topic, partition].append((output.key, output.value, output.timestamp, output.headers))
        return {TP(*tp): producer.pack(found) for tp, found in rows.items()}

    async def _publish(self, outputs: Packed) -> None:
        await asyncio.gather(*(self._app.producer.send_batches(tp, batches) for tp, batches in outputs.items()))
