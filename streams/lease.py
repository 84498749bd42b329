"""Whether we may still write: the group's generation, a fresh heartbeat, the assignment.

A worker that was stopped for longer than the session timeout has lost its partitions without knowing it. So before
each write it must be in the same generation, have had a heartbeat answered within the session timeout, and still
hold the partitions. What slips through is fenced by the epochs in the changelog (`streams.table`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Set
from time import monotonic
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ConsumerRebalanceListener, Transport
from faust.types import TP
from mode.threads import QueueServiceThread

from config.settings import ISOLATION_LEVEL
from streams.batches import Record, Revoked
from streams.fetch import fetched_records
from streams.metrics import REBALANCES
from streams.reading import stop_consumer

POLL_SECONDS = 1.0
RETRY_SECONDS = 0.02
Fetch: TypeAlias = tuple[Mapping[TP, list[Record]], Set[TP]]
"""What was fetched, and what has more to fetch."""
FETCH_WAIT_MS = 50  # the embedded broker answers a fetch only when its wait is over; Apache Kafka, when there is data


class LeaseListener(ConsumerRebalanceListener):
    """Starts the lease: the broker's session timer begins anew when it answers the group join."""

    _thread: "LeasedConsumerThread"

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Call when partitions are assigned."""
        self._thread.last_heartbeat = monotonic()
        REBALANCES.inc()
        await super().on_partitions_assigned(assigned)


class LeasedConsumerThread(AIOKafkaConsumerThread):
    """The driver's consumer thread, which also remembers the last answered heartbeat.

    Wraps two methods of `GroupCoordinator` (aiokafka 0.14.0): `_do_heartbeat`, which keeps that time to itself, and
    `_push_error_to_user`, which stops the coordination, as when we may not use the group, until somebody asks why; the
    driver never asks. Overrides `_create_worker_consumer` for the longest wait of a fetch, and so as to read what is
    committed only.
    """

    last_heartbeat = float("-inf")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetches: set[asyncio.Task[Any]] = set()

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # the driver fixes it at 1500
        consumer._isolation_level = ISOLATION_LEVEL
        return consumer

    async def on_start(self) -> None:
        """Call when the thread starts."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        beat = coordinator._do_heartbeat

        async def timed_beat() -> bool:
            sent = monotonic()  # the broker's timer restarts later than this
            answered: bool = await beat()
            if answered:
                self.last_heartbeat = sent
            return answered

        coordinator._do_heartbeat = timed_beat
        push = coordinator._push_error_to_user

        def crash(error: Exception) -> Any:
            if not self.app.should_stop:
                asyncio.run_coroutine_threadsafe(self.app.crash(error), self.parent_loop)
            return push(error)

        coordinator._push_error_to_user = crash

    async def on_thread_stop(self) -> None:
        """Call when the thread stops: what the driver does, but also while Kafka is away."""
        await QueueServiceThread.on_thread_stop(self)
        await stop_consumer(self._ensure_consumer())

    async def confirm(self, generation: int, tps: Iterable[TP]) -> None:
        """Return when `tps` are surely ours in this generation of the group; raise `Revoked` when they are not.

        Waits while no heartbeat was answered within the session timeout: the next answer tells.
        """
        while self.generation == generation:
            if monotonic() - self.last_heartbeat <= self.app.conf.broker_session_timeout:
                if not self.assignment().issuperset(tps):
                    raise Revoked("the partitions are another worker's")
                return
            await asyncio.sleep(RETRY_SECONDS)
        raise Revoked("the group has rebalanced")

    @property
    def generation(self) -> int:
        """The group's generation as the coordinator told last; negative when we are no member."""
        return int(self._ensure_consumer()._coordinator.generation)

    async def fetch(self, tps: Set[TP], among: Set[TP] = frozenset()) -> Fetch:
        """Wait up to a second for records of `tps`, from any event loop; and those of `among` that have more to fetch.

        Not through the library's method queue: its two workers would be held by waiting fetches.
        """
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._fetch(tps, among), self.thread_loop))

    async def _fetch(self, tps: Set[TP], among: Set[TP]) -> Fetch:
        if not self.consumer.flow_active:
            return {}, among
        consumer = self._ensure_consumer()
        if consumer._closed:
            raise ConsumerStoppedError
        task = asyncio.current_task()
        assert task is not None
        self._fetches.add(task)
        try:
            with consumer._subscription.fetch_context():  # tells the coordinator that we are alive
                records = await fetched_records(consumer._fetcher, tps, POLL_SECONDS)
                return {TP(*tp): found for tp, found in records.items()}, self._unread(among)
        except asyncio.CancelledError:
            return {}, among
        finally:
            self._fetches.discard(task)

    def _unread(self, tps: Set[TP]) -> Set[TP]:
        """Those that have more than was fetched, as their brokers told last, and those of which none was told yet."""
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return tps
        held = subscription.assignment
        return {tp for tp in tps if tp in held.tps and _has_more(held.state_value(TopicPartition(*tp)))}

    def positions(self) -> dict[TP, int]:
        """Up to which offset each partition was fetched: also past what is no record, or was deleted unread."""
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return {}
        consumed = subscription.assignment.all_consumed_offsets()
        return {TP(*tp): position.offset for tp, position in consumed.items()}

    async def ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Where partitions end, from any event loop, and not through the method queue either; raises `KafkaError`."""
        consumer = self._ensure_consumer()
        asked = consumer.end_offsets([TopicPartition(*tp) for tp in tps])
        ends = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self.thread_loop))
        return {TP(*tp): end for tp, end in ends.items()}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek partitions, with no fetch under way.

        One of before the rebalance would take records from the new positions, and they would be dropped as stale.
        """
        await self.call_thread(self._end_fetches)
        await super().seek_wait(partitions)

    async def _end_fetches(self) -> None:
        for fetch in self._fetches:
            fetch.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Committed offsets of those `tps` that have one."""
        coordinator = self._ensure_consumer()._coordinator
        wanted = [TopicPartition(*tp) for tp in tps]
        offsets = await self.call_thread(coordinator.fetch_committed_offsets, wanted)
        return {TP(*tp): committed.offset for tp, committed in offsets.items()}


def _has_more(state: Any) -> bool:
    # Nothing is read beyond the last stable offset, where the broker knows transactions.
    end = state.highwater if state.lso in (None, -1) else state.lso
    return end is None or not state.has_valid_position or state.position < end
