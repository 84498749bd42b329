"""Whether a changelog still holds what was written to it: a worker that goes on without would forget its borrowers.

An owner writes to a changelog partition before it commits an offset of its inputs, and Kafka takes nothing from the
beginning of a topic that it only compacts. So one that is empty although the group has read inputs, or that begins
later than at its first record, has lost state.
"""

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from config.settings import Settings
from streams.reading import stop_consumer
from streams.topics import TopicsError, app_id


async def check_changelog(settings: Settings, changelog: str, partitions: int, inputs: Sequence[str]) -> None:
    """Raise `TopicsError` when a changelog has lost records; it and the inputs of its agent are named in full.

    Raises `KafkaError` when Kafka does not answer.
    """
    consumer = AIOKafkaConsumer(**settings.kafka_client_args(), group_id=app_id(settings), enable_auto_commit=False)
    try:
        await consumer.start()
        tps = [TopicPartition(changelog, number) for number in range(partitions)]
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        lost = [f"of partition {tp.partition} all before offset {starts[tp]}" for tp in tps if starts[tp]]
        for number in [tp.partition for tp in tps if not ends[tp]]:
            if any([await consumer.committed(TopicPartition(topic, number)) for topic in inputs]):
                lost.append(f"all of partition {number}")
    finally:
        await stop_consumer(consumer)
    if lost:
        raise TopicsError(
            f"{changelog} has lost what workers know, {', '.join(lost)}: put it back from a copy, or begin anew"
            " (docs/operations.md, Lost changelogs)"
        )
