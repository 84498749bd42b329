"""The log of configuration changes as the console follows it: read whole at the start, then record by record."""

import asyncio
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from config.lifecycle import Entry, Lifecycle, step
from config.revisions import TOPIC
from config.settings import Settings
from streams.ending import is_ending
from streams.reading import stop_consumer
from streams.topics import topic_name

_SEEN_WITHIN_SECONDS = 30.0


class Follower:
    """What stands after `rotation-config`, and each of its records with what came of it. It never writes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = TopicPartition(topic_name(settings, TOPIC), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._changed = asyncio.Condition()
        self._state = Lifecycle()
        self.entries: list[Entry] = []

    @property
    def state(self) -> Lifecycle:
        """What stands now."""
        return self._state.at(datetime.now(UTC))

    async def start(self) -> None:
        """Read the log to its present end; raises `aiokafka.errors.KafkaError`."""
        self._consumer = AIOKafkaConsumer(**self._settings.kafka_consumer_args(), auto_offset_reset="earliest")
        await self._consumer.start()
        self._consumer.assign([self._log])
        await self._consumer.seek_to_beginning(self._log)
        end = (await self._consumer.end_offsets([self._log]))[self._log]
        while await self._consumer.position(self._log) < end:
            await self._take(timeout_ms=200)

    async def run(self) -> None:
        """Follow the log from there, until cancelled."""
        while not is_ending():
            await self._take(timeout_ms=1000)

    async def stop(self) -> None:
        """Close the client."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def until(self, offset: int) -> None:
        """Wait until this record of the log has been read; raises `TimeoutError` after half a minute."""
        async with asyncio.timeout(_SEEN_WITHIN_SECONDS), self._changed:
            await self._changed.wait_for(lambda: bool(self.entries) and self.entries[-1].offset >= offset)

    async def _take(self, timeout_ms: int) -> None:
        assert self._consumer is not None
        for records in (await self._consumer.getmany(timeout_ms=timeout_ms)).values():
            for record in records:
                self._state, entry = step(self._state, record.offset, record.value or b"")
                self.entries.append(entry)
            async with self._changed:
                self._changed.notify_all()
