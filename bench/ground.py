"""The ground that all engines of a run stand on: one Apache Kafka, one Redis, and what the harness does to them."""

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.child import session_usage
from streams.batches import Record as Fetched
from streams.embedded import EmbeddedRedis
from streams.topics import partition_of
from tests.brokers import ApacheKafka

PARTITIONS = 8
_BATCH_BYTES = 900_000
_READ_BYTES = 8 * 1024 * 1024


class Record(NamedTuple):
    """One input record; `topic` without a run's prefix, `timestamp` in milliseconds."""

    topic: str
    key: bytes
    value: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class Laid:
    """Records in their order, each where Kafka's default partitioner puts its key."""

    count: int
    by_partition: Mapping[tuple[str, int], list[Record]]

    @classmethod
    def out(cls, records: Iterable[Record]) -> Self:
        """Lay records out once, to be filled in for every run."""
        by_partition: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            by_partition[record.topic, partition_of(record.key, PARTITIONS)].append(record)
        return cls(sum(map(len, by_partition.values())), by_partition)


class Servers(NamedTuple):
    """The running servers and a folder for the engines' files, shared by all runs."""

    kafka: str
    redis: str
    pids: Mapping[str, int]
    folder: Path

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each server so far."""
        return {name: session_usage(pid).cpu for name, pid in self.pids.items()}


@contextmanager
def servers() -> Iterator[Servers]:
    """Start Apache Kafka and Redis; not inside a running event loop."""
    with (
        tempfile.TemporaryDirectory(prefix="loanrouter-bench-") as folder,
        ApacheKafka() as kafka,
        EmbeddedRedis() as redis,
    ):
        yield Servers(kafka.bootstrap, redis.url, {"kafka": kafka.pid, "redis": redis.pid}, Path(folder))


class Topics:
    """What the harness does to topics."""

    def __init__(self, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer, reader: AIOKafkaConsumer) -> None:
        self._admin = admin
        self._producer = producer
        self._reader = reader

    async def create(self, names: Iterable[str], config: Mapping[str, str]) -> None:
        """Create topics with `PARTITIONS` partitions."""
        await self._admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=dict(config)) for name in names])

    async def drop(self, prefix: str) -> None:
        """Delete the topics of a run that is over."""
        await self._admin.delete_topics([name for name in await self._admin.list_topics() if prefix in name])

    async def fill(self, records: Laid, prefix: str) -> None:
        """Append records to the topics of a run, in batches."""
        for (name, partition), placed in records.by_partition.items():
            await self.append(prefix + name, partition, placed)

    async def append(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Append records to one partition, in batches; `topic` counts, not what they name."""
        sent = []
        builder = self._producer.create_batch()
        for record in records:
            entry: dict[str, Any] = {"timestamp": record.timestamp, "key": record.key, "value": record.value}
            if builder.append(**entry, headers=[]) is None:
                sent.append(await self._producer.send_batch(builder, topic, partition=partition))
                builder = self._producer.create_batch()
                builder.append(**entry, headers=[])
        sent.append(await self._producer.send_batch(builder, topic, partition=partition))
        await asyncio.gather(*sent)

    async def pace(self, records: Sequence[Record], prefix: str, rate: float) -> None:
        """Append records one by one, `rate` a second."""
        began = time.monotonic()
        for number, record in enumerate(records):
            wait = began + number / rate - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            await self._producer.send(prefix + record.topic, record.value, record.key)
        await self._producer.flush()

    async def count(self, topic: str) -> int:
        """How many records a topic has taken."""
        ends: dict[TopicPartition, int] = await self._reader.end_offsets(_partitions(topic))
        return sum(ends.values())

    async def lag(self, group: str, topics: Iterable[str]) -> int:
        """How many records of the topics a consumer group has not committed yet."""
        tps = [tp for topic in topics for tp in _partitions(topic)]
        ends = await self._reader.end_offsets(tps)
        committed = await self._admin.list_consumer_group_offsets(group)
        return sum(end - (max(committed[tp].offset, 0) if tp in committed else 0) for tp, end in ends.items())

    async def members(self, group: str) -> int:
        """How many members a settled consumer group has; none while it rebalances."""
        (answer,) = await self._admin.describe_consumer_groups([group])
        (_, _, state, _, _, members, *_) = answer.groups[0]
        return len(members) if state == "Stable" else 0

    async def read(self, topic: str) -> list[Fetched]:
        """All records of a topic, by partition."""
        ends = await self._reader.end_offsets(_partitions(topic))
        self._reader.assign([tp for tp, end in ends.items() if end])
        for tp in self._reader.assignment():
            self._reader.seek(tp, 0)
        records: list[Fetched] = []
        while len(records) < sum(ends.values()):
            for found in (await self._reader.getmany(timeout_ms=200)).values():
                records += found
        self._reader.unsubscribe()
        return records


@asynccontextmanager
async def topics(kafka: str) -> AsyncIterator[Topics]:
    """Clients of the harness."""
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        stack.push_async_callback(admin.close)
        await admin.start()
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka, acks="all", max_batch_size=_BATCH_BYTES, max_request_size=_READ_BYTES
        )
        reader = AIOKafkaConsumer(
            bootstrap_servers=kafka,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_READ_BYTES,
            fetch_max_wait_ms=50,
        )
        await stack.enter_async_context(producer)
        await stack.enter_async_context(reader)
        yield Topics(admin, producer, reader)


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]
