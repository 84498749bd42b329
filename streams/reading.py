"""Reading topics from their beginning to their present end, without a consumer group: for people's questions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from config.settings import Settings
from streams.batches import Record
from streams.log import LogRecord
from streams.topics import partition_counts, topic_name


async def read_topics(
    settings: Settings, names: Iterable[str], total: Callable[[int], None] = lambda _: None
) -> AsyncIterator[LogRecord]:
    """Every record of the topics (contract names), as far as they reach when this is called.

    One partition's records come in order; `total` is told once about how many there will be. Raises
    `aiokafka.errors.KafkaError` when no broker answers or a topic is missing.
    """
    wanted = {topic_name(settings, name): name for name in names}
    existing = await partition_counts(settings)
    if missing := wanted.keys() - existing.keys():
        raise UnknownTopicOrPartitionError(f"no such topic: {', '.join(sorted(missing))}")
    consumer = AIOKafkaConsumer(**settings.kafka_consumer_args(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for topic in wanted for number in range(existing[topic])]
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        left = {tp for tp in partitions if begins[tp] < ends[tp]}
        total(sum(ends[tp] - begins[tp] for tp in left))
        for tp in partitions:
            consumer.seek(tp, begins[tp])
        consumer.pause(*(tp for tp in partitions if tp not in left))
        seen: set[TopicPartition] = set()
        while left:
            for tp, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                # The embedded broker understates the end by its last batch; what comes with the records is right.
                if tp not in seen:
                    seen.add(tp)
                    ends[tp] = max(ends[tp], consumer.highwater(tp) or 0)
                for record in records:
                    if record.offset < ends[tp]:
                        yield _log_record(record, wanted[tp.topic])
            # A position passes offsets that hold no record, as compaction and transactions leave them.
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, also while Kafka is away: in the middle of a retry its `stop` ends as if we were cancelled."""
    with suppress(asyncio.CancelledError):
        await consumer.stop()
    await consumer._client.close()


def _log_record(record: Record, name: str) -> LogRecord:
    return LogRecord(
        name, record.partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers)
    )
