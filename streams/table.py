"""A Faust table that keeps raw bytes by partition, and takes recovered changes a whole batch at a time.

Overrides of `faust.Table` (0.15.3): where the data is kept, `apply_changelog_batch` (how the library's recovery and
standbys feed it), `persisted_offset` (memory counts as a store: what stays assigned is not read again), and dropping
what is revoked. Writing goes through `streams.commit`, not through item access.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import faust
from faust.types import TP, EventT

from streams.batches import Output
from streams.positions import (
    POSITION_KEY,
    RESERVED,
    STAMP,
    Headers,
    Position,
    decode_outbox,
    decode_position,
    read_epoch,
)


class PartitionState:
    """One partition of a table: data, position, and who may write it.

    Records count only from the position record that closes their batch, and only if no higher epoch wrote before
    them. What did not count but may hide an older record after compaction is in `repairs`: to be written again.

    Compaction also removes the position records that closed older batches, and leaves gaps in the offsets. What
    stands before a gap counts: either its batch was closed, or a later claim wrote its key again.
    """

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.position = Position()
        self.next_offset = 0  # of the changelog
        self.epoch = 0  # the highest seen
        self.owned_epoch = 0  # ours, once claimed
        self.repairs: set[bytes] = set()
        self.unsent = False  # whether outputs of `position` may not have been published
        self._outbox: dict[bytes, bytes] = {}
        self._open: dict[bytes, bytes | None] = {}

    def replay(self, offset: int, key: bytes, value: bytes | None, headers: Headers) -> None:
        """Take one record of the changelog; records before `next_offset` are known."""
        if offset < self.next_offset:
            return
        if offset > self.next_offset:
            self._settle()
        self.next_offset = offset + 1
        epoch = read_epoch(value, headers)
        if epoch < self.epoch:
            self.repairs.add(key)
            return
        if epoch > self.epoch:
            self._drop_open()
            self.epoch = epoch
        payload = value[STAMP.size :] if value is not None else None
        if key != POSITION_KEY:
            self._open[key] = payload
        elif payload is not None:
            self._close(decode_position(payload))

    @property
    def needs_claim(self) -> bool:
        """Whether somebody else wrote last, or there is something to repair."""
        return not self.epoch or self.owned_epoch != self.epoch or bool(self.repairs or self._open)

    def written(self, epoch: int, changes: dict[bytes, bytes | None], position: Position) -> None:
        """Take a batch of our own that Kafka has confirmed."""
        self.epoch = self.owned_epoch = epoch
        self._open.update(changes)
        self._close(position)

    def outbox(self) -> list[Output]:
        """The outputs of the last batch."""
        return decode_outbox(self.position, self._outbox)

    def unrepaired(self) -> dict[bytes, bytes | None]:
        """What has to be written again, so that no compaction loses it."""
        self._drop_open()
        return {key: self.data.get(key) for key in self.repairs if key[:1] != RESERVED}

    def _drop_open(self) -> None:
        self.repairs.update(self._open)
        self._open.clear()

    def _close(self, position: Position) -> None:
        self._settle()
        self.repairs = {key for key in self.repairs if key[:1] != RESERVED}  # the position is written again
        self.unsent = self.unsent or position.sequence != self.position.sequence
        self.position = position

    def _settle(self) -> None:
        for key, payload in self._open.items():
            if key[:1] == RESERVED:
                self._outbox[key] = payload or b""
            elif payload is None:
                self.data.pop(key, None)
            else:
                self.data[key] = payload
        self.repairs.difference_update(self._open)
        self._open.clear()


class PartitionedTable(faust.Table[bytes, bytes]):
    """Bytes by partition and key, backed by a changelog."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, key_type=bytes, value_type=bytes, **kwargs)
        self._partitions: dict[int, PartitionState] = {}
        self._failure: Exception | None = None

    def partition(self, partition: int) -> PartitionState:
        """The state of a partition, empty when it is new."""
        return self._partitions.setdefault(partition, PartitionState())

    def partition_items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Keys and payloads of a partition."""
        return iter(self.partition(partition).data.items())

    def persisted_offset(self, tp: TP) -> int | None:
        """The last changelog offset that is in memory, or None."""
        state = self._partitions.get(tp.partition)
        return state.next_offset - 1 if state is not None and state.next_offset else None

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Take records of recovery or standby.

        The library logs and forgets what is raised here: it is kept and raised when recovery completes.
        """
        try:
            for event in batch:
                message = event.message
                if message.topic == self.changelog_topic_name:  # its queue is shared by all tables
                    headers = cast(Headers, message.headers or ())
                    self.partition(message.partition).replay(message.offset, message.key or b"", message.value, headers)
        except Exception as error:
            self._failure = error
            raise

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Drop the partitions that are another worker's now."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        for tp in revoked:
            if tp.topic == self.changelog_topic_name:
                self._partitions.pop(tp.partition, None)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Raise what went wrong while records were applied: a table with a gap must not be used."""
        if self._failure is not None:
            raise self._failure
        await super().on_recovery_completed(active_tps, standby_tps)
