"""Reading topics from their beginning to their present end, without a consumer group: for people's questions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from config.settings import Settings
from streams.batches import Record
from streams.log import LogRecord
from streams.topics import partition_counts, topic_name


async def read_topics(
    settings: Settings,
    names: Iterable[str],
    total: Callable[[int], None] = lambda _: None,
    since: Mapping[str, int] | None = None,
) -> AsyncIterator[LogRecord]:
    """Every record of the topics (contract names), as far as they reach when this is called.

    Of the topics in `since` a partition is read from its first record of that time (ms) or later on. One partition's
    records come in order; `total` is told once about how many there will be. Raises `aiokafka.errors.KafkaError` when
    no broker answers or a topic is missing.
    """
    wanted = {topic_name(settings, name): name for name in names}
    async with _consuming(settings, wanted) as (consumer, begins, ends):
        times = {tp: since[wanted[tp.topic]] for tp in begins if since and wanted[tp.topic] in since}
        for tp, found in (await consumer.offsets_for_times(times) if times else {}).items():
            begins[tp] = ends[tp] if found is None else found.offset
            consumer.seek(tp, begins[tp])
        partitions = list(begins)
        left = {tp for tp in partitions if begins[tp] < ends[tp]}
        total(sum(ends[tp] - begins[tp] for tp in left))
        consumer.pause(*(tp for tp in partitions if tp not in left))
        seen: set[TopicPartition] = set()
        while left:
            for tp, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                # The embedded broker understates the end by its last batch; what comes with the records is right.
                if tp not in seen:
                    seen.add(tp)
                    ends[tp] = max(ends[tp], consumer.highwater(tp) or 0)
                for record in records:
                    # The embedded broker knows the times of its segments only.
                    if record.timestamp < times.get(tp, record.timestamp):
                        continue
                    times.pop(tp, None)
                    if record.offset < ends[tp]:
                        yield _log_record(record, wanted[tp.topic])
            # A position passes offsets that hold no record, as compaction and transactions leave them.
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}


@asynccontextmanager
async def _consuming(
    settings: Settings, wanted: Iterable[str]
) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int], dict[TopicPartition, int]]]:
    """A consumer at the beginning of these topics (names as on the broker), where they begin, and where they end."""
    existing = await partition_counts(settings)
    if missing := set(wanted) - existing.keys():
        raise UnknownTopicOrPartitionError(f"no such topic: {', '.join(sorted(missing))}")
    consumer = AIOKafkaConsumer(**settings.kafka_consumer_args(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for topic in wanted for number in range(existing[topic])]
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for tp in partitions:
            consumer.seek(tp, begins[tp])
        yield consumer, begins, ends
    finally:
        await stop_consumer(consumer)


class Following(NamedTuple):
    """Topics as they are followed: where each partition (topic by its contract name, number) began and then ended.

    `batches` are what comes, each time within a second, also when that is nothing, and whether it is all up to `ends`.
    """

    begins: dict[tuple[str, int], int]
    ends: dict[tuple[str, int], int]
    batches: AsyncIterator[tuple[list[LogRecord], bool]]


@asynccontextmanager
async def following(settings: Settings, names: Iterable[str]) -> AsyncIterator[Following]:
    """Follow topics (contract names) from their beginning on, without a consumer group.

    Raises `aiokafka.errors.KafkaError` when no broker answers or a topic is missing.
    """
    wanted = {topic_name(settings, name): name for name in names}
    async with _consuming(settings, wanted) as (consumer, begins, ends):

        async def batches() -> AsyncIterator[tuple[list[LogRecord], bool]]:
            left = set(begins)
            while True:
                fetched = await consumer.getmany(timeout_ms=1000)
                records = [_log_record(each, wanted[tp.topic]) for tp, some in fetched.items() for each in some]
                # A position passes offsets that hold no record, as compaction and transactions leave them.
                left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
                yield records, not left

        def named(offsets: dict[TopicPartition, int]) -> dict[tuple[str, int], int]:
            return {(wanted[tp.topic], tp.partition): offset for tp, offset in offsets.items()}

        yield Following(named(begins), named(ends), batches())


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, also while Kafka is away: in the middle of a retry its `stop` ends as if we were cancelled."""
    with suppress(asyncio.CancelledError):
        await consumer.stop()
    await consumer._client.close()


def _log_record(record: Record, name: str) -> LogRecord:
    return LogRecord(
        name, record.partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers)
    )
