"""Recovery that neither loses nor doubles records around a rebalance.

Overrides of `Recovery` and `TableManager` (faust-streaming 0.15.3):
- `on_recovery_completed`: the library resumes partitions and seeks, and only then resumes flow control, which clears
  queues that already hold fetched records. Here flow control comes first, and before any source partition is
  resumed, positions are sought and the partitions are claimed (`streams.commit`).
- `take`: changelog records go to the tables by fetched lists, instead of one by one through the library's queue.
- `_build_offsets`: what the local store knows is checked against the changelog before recovery goes on from it.
- `signal_recovery_end`: the library clears this signal while its waiter may not wait yet, and then waits for ever.
- `TableManager.on_start`: without the library's sleep of one second.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery
from faust.types import TP
from faust.types.transports import ConsumerT

from streams.batches import Record, Revoked
from streams.commit import Committer
from streams.table import PartitionedTable

if TYPE_CHECKING:
    from streams.app import LoanrouterApp


class _KeptSignal(asyncio.Event):
    """Stays set until the next recovery starts."""

    def clear(self) -> None:
        """Ignore the library's own clearing."""

    def start_again(self) -> None:
        super().clear()


class OrderedRecovery(Recovery):
    """Recovery of the application."""

    app: "LoanrouterApp"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._recovery_ended_signal = self._signal_recovery_end = _KeptSignal()

    def _set_recovery_started(self) -> None:
        self._recovery_ended_signal.start_again()
        super()._set_recovery_started()

    def take(self, tp: TP, changes: Sequence[Record]) -> bool:
        """Apply what was fetched of a changelog partition; false when it must be read again from its start."""
        offsets = self.active_offsets if tp in self.active_tps else self.standby_offsets
        if tp not in offsets:
            return True  # it was revoked meanwhile
        replayed = cast(PartitionedTable, self.tp_to_table[tp]).replay(tp.partition, changes)
        offsets[tp] = max(offsets[tp], changes[-1].offset) if replayed else -1
        self._active_events_received_at[tp] = self._last_flush_at = monotonic()  # the library warns without
        if self.in_recovery and not self.need_recovery():
            self._set_recovery_ended()
            self.signal_recovery_end.set()
        if not self.tables.standbys_ready and not self.standby_remaining_total():
            self.tables.on_standbys_ready()
        return replayed

    async def _build_offsets(self, consumer: ConsumerT, tps: set[TP], destination: Counter[TP], title: str) -> None:
        starts, ends = await consumer.earliest_offsets(*tps), await consumer.highwaters(*tps)
        for tp in tps:
            table = cast(PartitionedTable, self.tp_to_table[tp])
            table.check(tp.partition, starts.get(tp) or 0, ends.get(tp) or 0)
            destination[tp] = cast(int, table.persisted_offset(tp))  # the library's type leaves out its own None
        await super()._build_offsets(consumer, tps, destination, title)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Call when the tables are up to date: take over the partitions and let their records flow."""
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        for table in self.tables.values():
            await table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table])
        if self.need_recovery():
            raise RuntimeError("recovery ended before the end of the changelog")
        if app.consumer_generation_id != generation_id:
            return
        app.flow_control.resume()
        assignment = consumer.assignment()
        sources = {tp for tp in assignment if not self._is_changelog_tp(tp)}
        if sources:
            await self._wait(self._take_over(generation_id))
        consumer.resume_partitions(sources)
        self.completed.set()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        if not app.assignor.assigned_standbys():
            self.tables.on_standbys_ready()
        app.on_rebalance_end()

    async def _take_over(self, generation: int) -> None:
        consumer = self.app.consumer
        await consumer.perform_seek()
        for agent in self.app.batch_agents.values():
            changelogs = self.actives_for_table[agent.table]
            try:
                await consumer.lease.confirm(generation, changelogs)
            except Revoked as error:
                raise RebalanceAgain from error
            partitions = [tp.partition for tp in changelogs]
            await Committer(self.app, agent).take_over(partitions, generation, consumer.committed_offsets)


class QuickTableManager(TableManager):
    """Table manager of the application."""

    @property
    def recovery(self) -> OrderedRecovery:
        """Recovery service used by this table manager."""
        if self._recovery is None:
            self._recovery = OrderedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(OrderedRecovery, self._recovery)

    async def on_start(self) -> None:
        """Call when the table manager starts."""
        await self._update_channels()
        await self.recovery.start()
