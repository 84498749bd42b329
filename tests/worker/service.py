"""A running loanrouter, and all that can be done to it and seen of it from outside."""

import asyncio
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import msgspec
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2
from aiokafka.structs import RecordMetadata, TopicPartition

from config.revisions import encode_record, first_revision
from config.settings import Settings
from market.publication import publication
from rotation.clock import DAY
from rotation.events import BorrowerEvent, millis
from rotation.outputs import Decision, FunderState, encode
from streams.log import LogRecord
from streams.reading import stop_consumer
from streams.topics import BORROWER_INPUTS, TOPICS, app_id, topic_name
from tests.processes import Workers, loanrouter
from tests.rotation.world import request

T = TypeVar("T")
Headers = tuple[tuple[str, bytes | None], ...]

#: 14:00 in Shanghai, when every funder of the shipped configuration is open.
FIRST_DAY = millis(datetime(2027, 1, 1, 6, tzinfo=UTC))
TRACE: Headers = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("tracestate", b"a=1"))


_BARRIER = b"barrier"
_MAX_BYTES = 2 * 1024 * 1024


class Item(NamedTuple):
    """A record to publish; `at` in ms, now when it is None."""

    topic: str
    value: bytes | None
    key: bytes | None
    at: int | None = None
    headers: Headers = ()


class Letter(NamedTuple):
    """A dead letter: the record, its dlq.* headers, and its other headers."""

    record: LogRecord
    dlq: dict[str, str]
    headers: Headers


class Service:
    """Workers on topics of their own. What they say is read as far as somebody waits for it."""

    def __init__(self, settings: Settings, workers: Settings | None = None) -> None:
        """`workers`: the settings of its workers, when they connect as somebody else."""
        self.settings = settings
        self.workers = Workers(workers or settings)
        self.document: dict[str, Any] = yaml.safe_load(settings.config.read_text())
        self.revision = 1
        self.states_version = -1
        self._runner = asyncio.Runner()
        self._numbers = itertools.count(1)
        self._days = itertools.count(1)
        self._said: defaultdict[str, list[LogRecord]] = defaultdict(list)
        self._values: defaultdict[str, list[bytes]] = defaultdict(list)
        self._letter_values: set[bytes | None] = set()
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._runner, self.workers:
            self.disconnect()

    def disconnect(self) -> None:
        """Close the clients, before the broker goes."""
        self._runner.run(self._disconnect())
        self._producer = self._consumer = None

    # -- what publishers and operators do

    def create_topics(self) -> None:
        """Create the topics, and connect to them."""
        done = loanrouter("topics", "create", **self.settings.environment())
        assert done.returncode == 0, done.stderr
        self._runner.run(self._connect())

    def publish(self, *items: Item) -> list[RecordMetadata]:
        """Publish records in this order, and wait until the broker has them."""
        return self._runner.run(self._publish(items))

    def tell(self, *events: BorrowerEvent, headers: Headers = ()) -> list[RecordMetadata]:
        """Publish events of borrowers, each stamped with its own time."""
        return self.publish(*(item_of(event, headers) for event in events))

    def members(self) -> int:
        """How many workers the group has, as the broker sees it."""
        return self._runner.run(self._members())

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Publish the next revision: the first configuration, changed."""
        self.revision += 1
        self.publish(Item("rotation-config", self.record_of(self.revision, change), b"config"))

    @contextmanager
    def configured(self, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """Inside, decisions are made under the first configuration, changed; after it, unchanged again."""
        self.configure(change)
        self.wait_guided()
        yield
        self.configure(lambda document: None)
        self.wait_guided()

    def record_of(self, revision: int, change: Callable[[dict[str, Any]], None]) -> bytes:
        """The record of a revision: the first configuration, changed."""
        document = deepcopy(self.document)
        change(document)
        numbered = msgspec.structs.replace(first_revision(document), id=revision)
        return encode_record(numbered, author="risk", reason="a test", occurred_at=datetime.now(UTC))

    def set_state(self, state: FunderState) -> int:
        """Publish where a funder stands; gives the version of the funder states with it."""
        # Versions grow: a person's word counts when it is newer than the worker's own.
        state = msgspec.structs.replace(state, version=1_000_000 + self.number())
        (sent,) = self.publish(Item("funder-states", encode(state), state.funder_id.encode()))
        self.states_version = int(sent.offset)
        return self.states_version

    def wait_guided(self) -> None:
        """Wait until decisions on all partitions are made under the last revision and funder states published.

        Asks for decisions that are expired at once, in the past of the stream clock.
        """
        asked_at = FIRST_DAY - DAY if self.settings.clock == "stream" else now()
        waiting = list(range(self.settings.partitions))
        while waiting:
            asked = {partition: f"dd-probe-{self.number()}" for partition in waiting}
            self.tell(
                *(
                    request(drawdown_id, asked_at, expires=asked_at, customer_id=self.customer(partition))
                    for partition, drawdown_id in asked.items()
                )
            )
            waiting = [p for p, drawdown_id in asked.items() if not self._guided(self.decisions(drawdown_id)[0])]

    def _guided(self, decision: Decision) -> bool:
        return decision.config_revision >= self.revision and decision.funder_states_version >= self.states_version

    # -- whom it is about

    def number(self) -> int:
        """A number that nobody else has."""
        return next(self._numbers)

    def customer(self, partition: int | None = None) -> str:
        """A borrower that nobody else has, on a partition."""
        while True:
            customer_id = f"c-{self.number()}"
            if partition in (None, self.partition(customer_id)):
                return customer_id

    def partition(self, customer_id: str) -> int:
        """Where Kafka's default partitioner puts a borrower."""
        return int(murmur2(customer_id.encode()) & 0x7FFFFFFF) % self.settings.partitions

    def day(self) -> int:
        """14:00 in Shanghai on a day that nobody else has (ms), later than all days before."""
        return FIRST_DAY + next(self._days) * DAY

    # -- what consumers see

    def said(self, topic: str) -> list[LogRecord]:
        """What has been read of an output topic."""
        return self._said[topic]

    def until(self, condition: Callable[[], T | None], seconds: float = 30) -> T:
        """Read until the condition gives something true, and return that; fails after `seconds`."""
        return self._runner.run(self._until(condition, seconds))

    def catch_up(self) -> None:
        """Read all that has been published."""
        self._runner.run(self._drain())

    def values(self, drawdown_id: str) -> list[bytes]:
        """The bytes of each decision about a drawdown, repeats too, in order."""
        return self._values[drawdown_id]

    def decisions(self, drawdown_id: str, count: int = 1) -> list[Decision]:
        """Wait for `count` decisions about a drawdown, and return all there are."""

        def found() -> list[Decision] | None:
            values = self.values(drawdown_id)
            return [msgspec.json.decode(value, type=Decision) for value in values] if len(values) >= count else None

        return self.until(found)

    def letters(self) -> list[Letter]:
        """The dead letters read so far, but those that `settle` made."""
        return [letter for letter in map(_letter, self.said("dead-letters")) if not _is_barrier(letter.record.value)]

    def letters_of(self, customer_id: str) -> list[Letter]:
        """Those of them that have a borrower's key."""
        return [letter for letter in self.letters() if letter.record.key == customer_id.encode()]

    def settle(self, *customer_ids: str) -> None:
        """Wait until all that was published about borrowers is done, and all that it caused has been read.

        A record that is bad on purpose goes behind the others into each topic. When it has come out as a dead letter,
        those before it are done; when a second one has, what they caused is published.
        """
        for _ in range(2):
            barriers = [
                Item(topic, b"%s %d" % (_BARRIER, self.number()), customer_id.encode())
                for customer_id in customer_ids
                for topic in BORROWER_INPUTS
            ]
            self.publish(*barriers)
            self._until_refused({item.value for item in barriers})
        self.catch_up()

    def settle_all(self) -> None:
        """The same for all borrowers."""
        self.settle(*map(self.customer, range(self.settings.partitions)))

    def _until_refused(self, values: set[bytes | None]) -> None:
        self.until(lambda: values <= self._letter_values)

    # -- the clients

    async def _connect(self) -> None:
        args = self.settings.kafka_client_args()
        self._producer = AIOKafkaProducer(**args, acks="all", max_request_size=_MAX_BYTES)
        await self._producer.start()
        self._consumer = AIOKafkaConsumer(**args, auto_offset_reset="earliest", fetch_max_wait_ms=50)
        await self._consumer.start()
        self._consumer.assign(
            [
                TopicPartition(topic_name(self.settings, topic.name), partition)
                for topic in TOPICS
                if "out" in topic.direction
                for partition in range(topic.partitions(self.settings))
            ]
        )

    async def _disconnect(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def _members(self) -> int:
        admin = AIOKafkaAdminClient(**self.settings.kafka_client_args())
        await admin.start()
        try:
            (answer,) = await admin.describe_consumer_groups([app_id(self.settings)])
            (group,) = answer.to_object()["groups"]
            return len(group["members"])
        finally:
            await admin.close()

    async def _publish(self, items: Sequence[Item]) -> list[RecordMetadata]:
        assert self._producer is not None, "there are no topics yet"
        sent = []
        for item in items:
            at = now() if item.at is None else item.at
            topic = topic_name(self.settings, item.topic)
            sent.append(await self._producer.send(topic, item.value, item.key, None, at, list(item.headers)))
        return list(await asyncio.gather(*sent))

    async def _until(self, condition: Callable[[], T | None], seconds: float) -> T:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, "did not happen in time"
            await self._fetch()
        return found

    async def _drain(self) -> None:
        while await self._fetch():
            pass

    async def _fetch(self) -> bool:
        assert self._consumer is not None, "there are no topics yet"
        fetched = await self._consumer.getmany(timeout_ms=100)
        for tp, records in fetched.items():
            topic = tp.topic.removeprefix(self.settings.topic_prefix)
            for r in records:
                self._take(LogRecord(topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)))
        return bool(fetched)

    def _take(self, record: LogRecord) -> None:
        self._said[record.topic].append(record)
        if record.topic == "dead-letters":
            self._letter_values.add(record.value)
        if record.topic == "routing-decisions":
            assert record.value is not None
            self._values[json.loads(record.value)["drawdown_id"]].append(record.value)


def now() -> int:
    """The wall clock in ms."""
    return time.time_ns() // 1_000_000


def funder(document: dict[str, Any], funder_id: str) -> dict[str, Any]:
    """The section of one funder in a configuration."""
    section: dict[str, Any] = next(each for each in document["funders"] if each["id"] == funder_id)
    return section


def item_of(event: BorrowerEvent, headers: Headers = ()) -> Item:
    """The record of an event, stamped with its own time."""
    at = millis(event.occurred_at)
    made = publication(event, at)
    return Item(made.topic, made.value, made.key, at, headers)


def _is_barrier(value: bytes | None) -> bool:
    return value is not None and value.startswith(_BARRIER)


def _letter(record: LogRecord) -> Letter:
    dlq = {name: (value or b"").decode() for name, value in record.headers if name.startswith("dlq.")}
    return Letter(record, dlq, tuple(each for each in record.headers if not each[0].startswith("dlq.")))
