"""What every worker must know: the active configuration revision and where each funder stands.

Both topics are small and read whole by every worker, without a consumer group. (The stream library's global tables
do not work with several workers.) A broken record is refused, counted and reported; what stood before it stays.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from capture.peers import Peer, decode_peer
from config.lifecycle import Lifecycle, advance
from config.problems import ConfigError
from config.revisions import encode_record
from config.rotation import Revision
from config.settings import Settings
from rotation.clock import MINUTE
from rotation.events import millis
from rotation.outputs import FunderState
from rotation.plan import Plan
from rotation.policy import Policy
from streams.codec import UNREADABLE, read_state
from streams.ending import is_ending
from streams.metrics import CONFIG_REFUSED, CONFIG_REVISION, CONFIG_SINCE, STATES_REFUSED
from streams.reading import stop_consumer
from streams.topics import topic_name

log = logging.getLogger("loanrouter.guide")

#: How far stream time goes at least (ms) from one call of `on_time` to the next.
STEP = MINUTE // 4


class Guide:
    """Follows `rotation-config`, `funder-states` and `funder-peers`. `plan` is always the newest of the first two.

    `on_change` is called when one of these two has changed, `on_time` when stream time goes on.
    """

    def __init__(self, settings: Settings, first: Callable[[], Revision]) -> None:
        """`first` gives the first revision, for an empty log."""
        self._settings = settings
        self._first = first
        self._config = TopicPartition(topic_name(settings, "rotation-config"), 0)
        self._states = TopicPartition(topic_name(settings, "funder-states"), 0)
        self._peers = TopicPartition(topic_name(settings, "funder-peers"), 0)
        self._all = (self._config, self._states, self._peers)
        self.peers: dict[str, Peer] = {}
        self._lifecycle = Lifecycle()
        self._known: dict[str, FunderState] = {}
        self.newest: dict[str, FunderState] = {}
        """Of each funder the record with the highest version. A worker that had not read a person's word when it
        published has its record behind that one, with a lower version: decisions obey the last record, and the
        funder's agent puts it right."""
        self._version = -1
        self._plan: Plan | None = None
        self._policies: dict[int, Policy] = {}
        self._made_active: dict[int, float] = {}
        self._reached = 0
        self._consumer: AIOKafkaConsumer | None = None
        self._follower: asyncio.Task[None] | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.on_time: Callable[[], None] = lambda: None

    @property
    def plan(self) -> Plan:
        """Which revision holds when, with the newest states, compiled. Only after `start`."""
        if self._plan is None:
            raise RuntimeError("the guide has not started")
        return self._plan

    @property
    def policy(self) -> Policy:
        """What holds at the latest stream time that was reached."""
        return self.plan.at(self._reached)

    @property
    def reached(self) -> int:
        """The furthest stream time (ms) that was reached; 0 before the first."""
        return self._reached

    def reach(self, now: int) -> None:
        """Stream time has come to `now` (ms) somewhere in this worker."""
        goes_on = now // STEP > self._reached // STEP
        self._reached = max(self._reached, now)
        revision = self.policy.revision.id
        CONFIG_REVISION.set(revision)
        CONFIG_SINCE.set(self._made_active[revision])
        if goes_on:
            self.on_time()

    @property
    def states(self) -> dict[str, FunderState]:
        """The last known state of each funder that has one."""
        return self._known

    async def start(self) -> None:
        """Read both topics to their present ends, publishing the first revision when there is none.

        Raises:
            ConfigError: there is no revision yet and the configuration file cannot be used.
        """
        self._consumer = AIOKafkaConsumer(**self._settings.kafka_consumer_args(), auto_offset_reset="earliest")
        await self._consumer.start()
        self._consumer.assign(self._all)
        await self._consumer.seek_to_beginning(*self._all)
        await self._read_to_end()
        if self._lifecycle.active is None:
            await self._publish_first()
            while self._lifecycle.active is None:
                await self._read_to_end()
        self._follower = asyncio.create_task(self._follow(), name="guide")

    async def stop(self) -> None:
        """Stop following."""
        if self._follower is not None:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    def failed(self) -> BaseException | None:
        """Why following ended, if it did: the worker must not go on without it."""
        if self._follower is None or not self._follower.done() or self._follower.cancelled():
            return None
        return self._follower.exception()

    async def _read_to_end(self) -> None:
        consumer = self._consumer
        assert consumer is not None
        ends = await consumer.end_offsets(self._all)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            self._take(await consumer.getmany(timeout_ms=200))

    async def _follow(self) -> None:
        assert self._consumer is not None
        while not is_ending():
            if self._take(await self._consumer.getmany(timeout_ms=1000)):
                self.on_change()

    def _take(self, fetched: dict[TopicPartition, list[Any]]) -> bool:
        """Apply records; whether anything changed."""
        before = (self._revisions(), self._version)
        for record in fetched.get(self._config, ()):
            self._take_change(record)
        for record in fetched.get(self._states, ()):
            self._take_state(record)
        for record in fetched.get(self._peers, ()):
            self._take_peer(record)
        if self._lifecycle.active is None or before == (self._revisions(), self._version):
            return False
        self._compile(anew=before[1] != self._version)
        return True

    def _revisions(self) -> list[tuple[datetime, int, int]]:
        return [(each.since, each.revision.id, each.share) for each in self._lifecycle.plan()]

    def _compile(self, *, anew: bool) -> None:
        """Make the plan; a policy stays the same one unless states changed, and knows of all revisions."""
        first, *later = self._lifecycle.plan()
        kept = {} if anew else self._policies
        self._policies = {}
        for revision in (each.revision for each in (first, *later)):
            policy = kept.get(revision.id) or Policy(revision, self._known, self._version)
            policy.known.update(self._lifecycle.revisions)
            self._policies[revision.id] = policy
        timed = [(millis(each.since), self._policies[each.revision.id], each.share) for each in later]
        self._plan = Plan(self._policies[first.revision.id], *timed)
        self.reach(self._reached)

    def _take_change(self, record: Any) -> None:
        known = len(self._lifecycle.revisions)
        try:
            self._lifecycle = advance(self._lifecycle, record.value or b"")
        except ConfigError as error:
            CONFIG_REFUSED.inc()
            _refused("rotation-config, what stood before it stays", record, error)
        else:
            newest = len(self._lifecycle.revisions)
            if newest > known:
                timed = self._lifecycle.timed.get(newest)
                self._made_active[newest] = record.timestamp / 1000 if timed is None else timed.since.timestamp()

    def _take_state(self, record: Any) -> None:
        try:
            state = read_state(record.value)
        except UNREADABLE as error:
            STATES_REFUSED.inc()
            _refused("funder-states", record, error)
        else:
            self._known = {**self._known, state.funder_id: state}
            newest = self.newest.get(state.funder_id)
            if newest is None or state.version >= newest.version:
                self.newest[state.funder_id] = state
            self._version = record.offset

    def _take_peer(self, record: Any) -> None:
        try:
            self.peers[(record.key or b"").decode()] = decode_peer(record.value or b"")
        except UNREADABLE as error:
            STATES_REFUSED.inc()
            _refused("funder-peers", record, error)

    async def _publish_first(self) -> None:
        """Put the file's configuration into the log. Of two workers that do, the first one counts."""
        revision = self._first()
        producer = AIOKafkaProducer(**self._settings.kafka_client_args(), acks="all")
        await producer.start()
        try:
            record = encode_record(
                revision,
                author="loanrouter",
                reason="first revision, from the configuration file",
                occurred_at=datetime.now(UTC),
            )
            await producer.send_and_wait(self._config.topic, value=record, key=b"config", partition=0)
        finally:
            await producer.stop()


def _refused(what: str, record: Any, error: Exception) -> None:
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    log.error("refused record %d of %s: %s", record.offset, what, error, extra=place)
