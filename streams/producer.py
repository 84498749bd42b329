"""An idempotent producer that sends whole record batches and waits for Kafka's answer.

Overrides of the aiokafka driver's `Producer` (faust-streaming 0.15.3): its settings (`acks=all`, idempotence,
security). `send_batches` goes straight to aiokafka: the library's buffer gives up waiting after 0.1 s and only logs
what failed.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.topics import partition_of

if TYPE_CHECKING:
    from streams.app import LoanrouterApp

Headers = Sequence[tuple[str, bytes | None]]
BATCH_BYTES = 900_000  # Kafka's default `message.max.bytes` is 1,048,588


class Produced(NamedTuple):
    """One record to send; `timestamp` in milliseconds."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Headers


class BatchProducer(driver.Producer):
    """Producer of the application; its connection settings are the app's `client_args`."""

    app: "LoanrouterApp"

    def _settings_auth(self) -> Mapping[str, Any]:
        return self.app.client_args

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": self.app.settings.kafka_idempotence}

    async def partition_of(self, topic: str, key: bytes) -> int:
        """The partition Kafka's default partitioner gives a key; raises `KafkaError` when there is no such topic."""
        partitions = self._ensure_producer().client.cluster.partitions_for_topic(topic)
        if not partitions:
            partitions = await self._ensure_producer().client._wait_on_metadata(topic)
        return partition_of(key, len(partitions))

    async def send_batches(self, batches: Mapping[TP, Iterable[Produced]]) -> dict[TP, list[tuple[int, int]]]:
        """Send records by partition, each partition's in order and in as few Kafka batches as fit.

        Returns (base offset, number of records) of each Kafka batch when all are confirmed. Raises `KafkaError`: then
        any of them may have been written.
        """
        results = await asyncio.gather(*(self._send(tp, records) for tp, records in batches.items()))
        return dict(zip(batches, results, strict=True))

    async def _send(self, tp: TP, records: Iterable[Produced]) -> list[tuple[int, int]]:
        producer = self._ensure_producer()
        sent: list[tuple[int, asyncio.Future[RecordMetadata]]] = []
        for builder in self._build(records):
            future = await producer.send_batch(builder, tp.topic, partition=tp.partition)
            sent.append((builder.record_count(), future))
        metadata = await asyncio.gather(*(future for _, future in sent))
        return [(answer.offset, count) for answer, (count, _) in zip(metadata, sent, strict=True)]

    def _build(self, records: Iterable[Produced]) -> Iterator[BatchBuilder]:
        create = self._ensure_producer().create_batch
        *others, last = records
        # The embedded broker takes the start of the last batch for the end of the log: there it holds one record.
        alone = not self.app.settings.kafka_idempotence
        builder = create()
        for record in (*others, last):
            if builder.record_count() and alone and record is last:
                yield builder
                builder = create()
            if not _append(builder, record):
                yield builder
                builder = create()
                _append(builder, record)
        builder.close()
        yield builder


def _append(builder: BatchBuilder, record: Produced) -> bool:
    key, value, timestamp, headers = record
    return builder.append(timestamp=timestamp, key=key, value=value, headers=list(headers)) is not None
