"""An idempotent producer that sends whole record batches and waits for Kafka's answer.

Overrides of the aiokafka driver's `Producer` (faust-streaming 0.15.3): its settings (`acks=all`, idempotence).
`send_batches` goes straight to aiokafka (0.14.0): the library's buffer gives up waiting after 0.1 s and only logs what
failed. `pack` reaches through aiokafka's `BatchBuilder` to the C builder inside: its own `append` takes more than twice
as long.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, UnknownError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from config.settings import SettingsError
from streams.metrics import PRODUCER_ERRORS

if TYPE_CHECKING:
    from streams.app import LoanrouterApp

Headers = Sequence[tuple[str, bytes | None]]
Row = tuple[bytes | None, bytes | None, int, Headers]
"""Key, value, timestamp (ms) and headers of a record to send."""

BATCH_BYTES = 900_000  # Kafka's default `message.max.bytes` is 1,048,588
_NO_HEADERS: list[tuple[str, bytes | None]] = []


class BatchProducer(driver.Producer):
    """Producer of the application."""

    app: "LoanrouterApp"

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": self.app.settings.kafka_idempotence}

    async def on_start(self) -> None:
        """Call when the app starts; raises `SettingsError` for a broker that has no idempotent producers."""
        try:
            await super().on_start()
        except (UnknownError, IncompatibleBrokerVersion) as error:
            if not self.app.settings.kafka_idempotence:
                raise
            why = f"Kafka at {self.app.settings.kafka} has no idempotent producers ({type(error).__name__})"
            raise SettingsError("LOANROUTER_KAFKA_IDEMPOTENCE", "off", why) from None

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; raises `KafkaError` when there is no such topic."""
        client = self._ensure_producer().client
        return len(client.cluster.partitions_for_topic(topic) or await client._wait_on_metadata(topic))

    def pack(self, rows: Iterable[Row]) -> list[BatchBuilder]:
        """Rows of one partition, in order and in as few Kafka batches as fit."""
        if self.app.settings.kafka_idempotence:
            return self._pack(rows)
        # The embedded broker takes the start of the last batch for the end of the log: there it holds one record.
        *others, last = rows
        return self._pack(others) + self._pack([last])

    def _pack(self, rows: Iterable[Row]) -> list[BatchBuilder]:
        create = self._ensure_producer().create_batch
        batches = [create()]
        append, count = batches[-1]._builder.append, 0
        for key, value, timestamp, headers in rows:
            listed = list(headers) if headers else _NO_HEADERS
            if append(count, timestamp, key, value, listed) is None:  # full, but nothing is too large for an empty one
                batches[-1]._relative_offset = count
                batches.append(create())
                append, count = batches[-1]._builder.append, 0
                append(0, timestamp, key, value, listed)
            count += 1
        batches[-1]._relative_offset = count
        for batch in batches:
            batch.close()
        return batches if count else []

    async def send_batches(self, tp: TP, batches: Iterable[BatchBuilder]) -> list[tuple[int, int]]:
        """Send the batches of one partition, in order.

        Returns (base offset, number of records) of each when all are confirmed. Raises `KafkaError`: then any of them
        may have been written.
        """
        try:
            return await self._send(tp, batches)
        except KafkaError as error:
            PRODUCER_ERRORS.labels(type(error).__name__).inc()
            raise

    async def _send(self, tp: TP, batches: Iterable[BatchBuilder]) -> list[tuple[int, int]]:
        producer = self._ensure_producer()
        sent: list[tuple[int, asyncio.Future[RecordMetadata]]] = []
        for batch in batches:
            future = await producer.send_batch(batch, tp.topic, partition=tp.partition)
            sent.append((batch.record_count(), future))
        metadata = await asyncio.gather(*(future for _, future in sent))
        return [(answer.offset, count) for answer, (count, _) in zip(metadata, sent, strict=True)]


def content(batch: BatchBuilder) -> bytes:
    """A packed batch as Kafka will store it, but for what the broker and the sending itself fill in."""
    built: bytes = bytes(batch._builder.build())
    return built
