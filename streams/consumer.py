"""A Faust consumer that hands on whole fetched batches instead of single messages.

Overrides of the aiokafka driver's `Consumer` (faust-streaming 0.15.3):
- `_drain_messages`: one pump per batch agent fetches for its topics whenever the agent is free, and one pump passes
  changelog records to recovery and standbys by lists. The library's loop makes several asyncio tasks a message, and
  sleeps a second whenever nothing is assigned.
- acknowledgement (`_filter_tps_with_pending_acks`, `_new_offset`): one next offset per partition, not one entry per
  message.
- `wait_empty`: what revocation and shutdown wait for is the batches in work, for a bounded time; then it commits.
- `perform_seek`: to whichever is further, the committed offset or the changelog's position.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import ServiceT

from streams.agent import BatchAgent
from streams.batches import Batch, PartitionBatch, Record
from streams.codec import AHEAD
from streams.commit import Committer
from streams.lag import Behind, Fetched, Lag
from streams.lease import POLL_SECONDS, Fetch, LeasedConsumerThread, LeaseListener
from streams.recovery import QuickTableManager
from streams.waiting import Waiting

if TYPE_CHECKING:
    from streams.app import LoanrouterApp


class BatchConsumer(driver.Consumer):
    """The consumer of the application."""

    app: "LoanrouterApp"

    RebalanceListener = LeaseListener
    _thread: LeasedConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.committed_offsets: dict[TP, int] = {}  # as they were when partitions were last assigned
        self._next_offsets: dict[TP, int] = {}
        self._begun: dict[TP, int] = {}  # from where partitions were read when they were last assigned
        self._fetched: dict[TP, Fetched] = {}
        self._behind: dict[TP, Behind] = {}
        self._resumed = asyncio.Event()

    def _new_consumer_thread(self) -> LeasedConsumerThread:
        return LeasedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def lease(self) -> LeasedConsumerThread:
        """Whether we may still write."""
        return self._thread

    def acknowledge(self, offsets: Mapping[TP, int]) -> None:
        """Make these next offsets committable."""
        self._next_offsets.update(offsets)

    # -- fetching

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        pumps = [asyncio.create_task(self._pump_changelogs())]
        pumps += [asyncio.create_task(self._pump(agent)) for agent in self.app.batch_agents.values()]
        stopped = asyncio.create_task(fetcher.wait_until_stopped())
        try:
            done, _ = await asyncio.wait([*pumps, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not fetcher.should_stop:  # else the library takes it for a crash when it is rebalancing
                raise
        finally:
            for task in (*pumps, stopped):
                task.cancel()
            await asyncio.gather(*pumps, stopped, return_exceptions=True)

    async def _pump_changelogs(self) -> None:
        while True:
            tps = {tp for tp in self._flowing() if self._is_changelog_tp(tp)}
            if not tps:
                await self._until_resumed()
                continue
            generation = self.app.consumer_generation_id
            records, _ = await self._thread.fetch(tps)
            for tp, changes in records.items():
                if generation != self.app.consumer_generation_id:
                    break  # recovery starts again from what it has seen
                if not cast(QuickTableManager, self.app.tables).recovery.take(tp, changes):
                    await self.seek_wait({tp: 0})
                await asyncio.sleep(0)

    async def _pump(self, agent: BatchAgent) -> None:
        fetch: asyncio.Future[Fetch] | None = None
        waiting, generation = Waiting(agent.topics), 0  # of `fetch` and of what waits
        while True:
            await agent.free.wait()
            tps = {tp for tp in self._flowing() if tp.topic in agent.topics}
            if not tps:
                fetch = None
                await self._until_resumed()
                continue
            if fetch is None:
                if generation != self.app.consumer_generation_id:
                    waiting.clear()
                    generation = self.app.consumer_generation_id
                fetch = asyncio.ensure_future(self._thread.fetch({tp for tp in tps if not waiting.holds(tp)}, tps))
                fetch.add_done_callback(self._note_fetched)
            if agent.tick.is_set() and not fetch.done():  # however many ticks there are, records get their turn
                agent.tick.clear()
                # Time alone does not move a partition of which records wait.
                quiet = {tp.partition for tp in tps} - waiting.partitions
                nothing: dict[int, list[Record]] = {partition: [] for partition in quiet}
                agent.hand_on(self._batch(agent, nothing, self.app.consumer_generation_id))
                continue
            tick = asyncio.ensure_future(agent.tick.wait())
            try:
                await asyncio.wait((fetch, tick), return_when=asyncio.FIRST_COMPLETED)
            finally:
                tick.cancel()
            if not fetch.done():
                continue
            (records, unread), fetch = fetch.result(), None
            # What was fetched before a rebalance is fetched again: recovery ends all fetches and seeks.
            if not self.flow_active or generation != self.app.consumer_generation_id:
                waiting.clear()
                continue
            waiting.add(records)
            latest = time() * 1000 + AHEAD if self.app.settings.clock == "wall" else inf
            if ready := waiting.take(unread, monotonic(), latest):
                agent.hand_on(self._batch(agent, ready, generation))

    def _batch(self, agent: BatchAgent, records: Mapping[int, list[Record]], generation: int) -> Batch:
        partitions = []
        next_offsets = {}
        for partition, found in sorted(records.items()):
            state = agent.table.partition(partition)
            part = PartitionBatch(partition, agent.topics, found, state.data, state.position.memo, state.marks)
            partitions.append(part)
            if found:
                next_offsets[partition] = {record.topic: record.offset + 1 for record in found}
        return Batch(partitions, generation, next_offsets, Committer(self.app, agent).commit, agent.release)

    def _flowing(self) -> Set[TP]:
        return self._get_active_partitions() if self.flow_active else frozenset()

    async def _until_resumed(self) -> None:
        self._resumed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._resumed.wait(), POLL_SECONDS)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Resume fetching from partitions."""
        super().resume_partitions(tps)
        self._resumed.set()

    def resume_flow(self) -> None:
        """Allow the pumps to fetch."""
        super().resume_flow()
        self._resumed.set()

    # -- how far behind

    async def look_ahead(self) -> None:
        """Ask Kafka where the inputs end; raises `KafkaError`."""
        held = list(self._begun)
        ends = await self._thread.ends(held) if held else {}
        now = time()
        for tp, end in ends.items():
            if tp in self._begun:
                self._behind.setdefault(tp, Behind()).saw_end(end, now)

    def done(self) -> dict[TP, int]:
        """Of each input partition that we hold, the offset up to which its records are done.

        With nothing of it in work, that is how far it was fetched: the end of a transaction is no record.
        """
        done = self._begun | self._next_offsets
        for tp, position in self._thread.positions().items() if done else ():
            fetched = self._fetched.get(tp)
            if tp in done and (fetched is None or fetched.next_offset <= done[tp]):
                done[tp] = max(done[tp], position)
        return done

    def _note_fetched(self, fetch: "asyncio.Future[Fetch]") -> None:
        """Remember what was fetched as soon as it was: it may wait long until the agent takes it."""
        if fetch.cancelled() or fetch.exception() is not None:
            return
        for tp, found in fetch.result()[0].items():
            self._fetched[tp] = Fetched(found[-1].offset + 1, found[0].timestamp, found[-1].timestamp)

    def lags(self) -> dict[TP, Lag]:
        """How far behind we are on each of them, as far as Kafka was asked."""
        now, found = time(), {}
        for tp, done in self.done().items():
            fetched = self._fetched.get(tp) if self.app.settings.clock == "wall" else None
            behind = self._behind.get(tp)
            if behind is not None and (lag := behind.lag(done, fetched, now)) is not None:
                found[tp] = lag
        return found

    # -- acknowledging

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self._next_offsets if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._next_offsets.get(tp)

    async def wait_empty(self) -> None:
        """Wait, for a bounded time, for the batches in work to end; commit what they acknowledged."""
        if self.app.crashed:
            return  # the consumer's thread ends by itself, and would leave a commit hanging
        await asyncio.gather(*(agent.wind_down() for agent in self.app.batch_agents.values()))
        await self.maybe_wait_for_commit_to_finish()  # it may not hold the latest offsets
        await self.commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Call when a rebalance begins: the library waits for `wait_empty` within, then nothing of ours is left."""
        await super().on_partitions_revoked(revoked)
        self._next_offsets.clear()
        self._begun.clear()
        self._fetched.clear()
        self._behind.clear()

    async def perform_seek(self) -> None:
        """Seek every source partition to its committed offset or its changelog's position, whichever is further."""
        sources = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
        committed = self.committed_offsets = await self._thread.committed(sources)
        self._committed_offset.update(committed)
        positions = {tp: self._position(tp) for tp in sources}
        targets = {tp: max(committed.get(tp, -1), positions[tp]) for tp in sources}
        self._begun = {tp: max(offset, 0) for tp, offset in targets.items()}
        await self.seek_wait({tp: offset for tp, offset in targets.items() if offset >= 0})

    def _position(self, tp: TP) -> int:
        for agent in self.app.batch_agents.values():
            if tp.topic in agent.topics:
                position: int = agent.table.partition(tp.partition).position.offsets.get(tp.topic, -1)
                return position
        return -1

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: the library's livelock detector reads per-message sensors that batches do not feed."""
