"""How a batch becomes durable: changelog, memory, outputs, offsets, in this order and each confirmed before the next.

Per partition one Kafka batch holds the changed keys, the outputs (the outbox) and, always last, the position. So a
crash anywhere leaves either nothing, or all that the next owner needs to publish the same bytes and go on.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from faust.types import TP

from streams.agent import BatchAgent
from streams.batches import Batch, Output, PartitionResult, Revoked
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
from streams.producer import Produced

if TYPE_CHECKING:
    from streams.app import LoanrouterApp

Changes = dict[bytes, bytes | None]


class ForeignWrite(Exception):
    """Another worker wrote to a changelog partition of ours: this process must start again from the changelog."""


class Write(NamedTuple):
    """What to write to one changelog partition."""

    epoch: int
    changes: Changes
    position: Position


def _records(write: Write, now: int) -> Iterable[Produced]:
    mark = stamp(write.epoch)
    for key, payload in write.changes.items():
        if payload is None:
            yield Produced(key, None, now, ((STAMP_HEADER, mark),))
        else:
            yield Produced(key, mark + payload, now, ())
    yield Produced(POSITION_KEY, mark + encode_position(write.position), now, ())


class Committer:
    """Writes for one agent."""

    def __init__(self, app: "LoanrouterApp", agent: BatchAgent) -> None:
        self._app = app
        self._agent = agent
        self._table = agent.table

    async def commit(self, batch: Batch, results: Mapping[int, PartitionResult]) -> None:
        """Make `results` durable and the batch's offsets committable; see `Batch.commit`."""
        await self._confirm(batch)
        writes = {}
        for partition, result in results.items():
            write = self._write_of(partition, result, batch.next_offsets.get(partition, {}))
            if write is not None:
                writes[partition] = write
        await self._write(writes, batch)
        if outputs := [output for partition in writes for output in results[partition].outputs]:
            await self._confirm(batch)
            await self._publish(outputs)
        for partition in writes:
            self._table.partition(partition).unsent = False
        self._app.consumer.acknowledge(
            {
                TP(topic, partition): offset
                for partition, offsets in batch.next_offsets.items()
                for topic, offset in offsets.items()
            }
        )

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
        if unsent:
            await self._publish(unsent)
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

    def _write_of(self, partition: int, result: PartitionResult, offsets: Mapping[str, int]) -> Write | None:
        state = self._table.partition(partition)
        position = state.position
        if not result.changes and not result.outputs and result.memo == position.memo:
            return None
        changes: Changes = {}
        for key, payload in result.changes.items():
            if key[:1] == RESERVED or payload == b"":
                raise ValueError("a key of a table must not begin with a zero byte, and a payload must not be empty")
            changes[key] = payload
        pieces = encode_outbox(position.sequence + 1, result.outputs)
        for index, piece in enumerate(pieces):
            changes[outbox_key(index)] = piece
        position = Position(
            sequence=position.sequence + bool(pieces),
            offsets={**position.offsets, **offsets},
            memo=result.memo,
            pieces=len(pieces),
            from_records=bool(offsets),
        )
        return Write(state.owned_epoch, changes, position)

    async def _write(self, writes: Mapping[int, Write], batch: Batch | None = None) -> None:
        if not writes:
            return
        now = int(time.time() * 1000)
        topic = self._table.changelog_topic_name
        sent = await self._app.producer.send_batches(
            {TP(topic, partition): _records(write, now) for partition, write in writes.items()}
        )
        self._raise_if_given_up(batch)  # recovery has read these records, or will
        for tp, batches in sent.items():
            state = self._table.partition(tp.partition)
            for base_offset, count in batches:
                if base_offset != state.next_offset:
                    raise ForeignWrite(
                        f"{topic}, partition {tp.partition}: our records are at offset {base_offset}, where"
                        f" {state.next_offset} was expected"
                    )
                state.next_offset += count
            state.written(*writes[tp.partition])

    async def _publish(self, outputs: Iterable[Output]) -> None:
        producer = self._app.producer
        batches: dict[TP, list[Produced]] = defaultdict(list)
        for output in outputs:
            partition = output.partition
            if partition is None:
                partition = await producer.partition_of(output.topic, output.key or b"")
            batches[TP(output.topic, partition)].append(
                Produced(output.key, output.value, output.timestamp, output.headers)
            )
        await producer.send_batches(batches)
