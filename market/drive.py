"""Plays a market on Kafka: publishes its plan, reads everything back, and answers decisions and advice."""

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable
from itertools import count

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from config.settings import Settings
from market.audit.log import Record
from market.journal import INPUTS, Journal
from market.market import Market
from market.publication import Publication
from rotation.events import DrawdownRequest
from rotation.outputs import CreditApplication

OUTPUTS = ("routing-decisions", "credit-applications", "dead-letters", "funder-states")
READ_BYTES = 8 * 1024 * 1024
QUIET_MS = 4_000  # longer than the worker waits before it lets time alone expire what is held
SETTLE_SECONDS = 20
HOLD_OUT_SECONDS = 60
TURN_SECONDS = 0.02


class Drive:
    """One run of a market against the topics of `settings`. What is read goes to `journal`.

    `hold_out` has it wait at the end until every drawdown on hold is served or expired too.
    """

    def __init__(self, settings: Settings, journal: Journal, *, hold_out: bool = False) -> None:
        self._settings = settings
        self._journal = journal
        self._hold_out = hold_out
        self._answers: list[tuple[int, int, Publication]] = []
        self._order = count()

    async def run(self, market: Callable[[int], Market], until: asyncio.Event) -> int:
        """Publish and answer until `until` is set, then wait until all that was asked is decided, or for 20 s (60 s).

        `market` makes the market that starts at a time (ms). Returns when publishing ended (ms). The topics must exist;
        raises `KafkaError` when they cannot be written to.
        """
        producer = AIOKafkaProducer(
            **self._settings.kafka_client_args(),
            acks="all",
            enable_idempotence=self._settings.kafka_idempotence,
            linger_ms=2,
            max_request_size=READ_BYTES,
        )
        consumer = AIOKafkaConsumer(
            **self._settings.kafka_consumer_args(),
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=READ_BYTES,
            fetch_max_wait_ms=50,
        )
        async with producer, consumer:
            consumer.assign(await self._partitions(producer))
            played = market(now_ms())
            reading = asyncio.create_task(self._read(consumer, played))
            try:
                await self._publish(producer, played, reading, until)
                ended_at = now_ms()
                await self._settle(reading)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        return ended_at

    def add(self, items: Iterable[Publication]) -> None:
        """Publish these as well, each when its time has come."""
        for item in items:
            heapq.heappush(self._answers, (item.at, next(self._order), item))

    async def _partitions(self, producer: AIOKafkaProducer) -> list[TopicPartition]:
        topics = [self._settings.topic_prefix + topic for topic in (*INPUTS, *OUTPUTS)]
        return [
            TopicPartition(topic, partition) for topic in topics for partition in await producer.partitions_for(topic)
        ]

    async def _publish(
        self, producer: AIOKafkaProducer, market: Market, reading: asyncio.Task[None], until: asyncio.Event
    ) -> None:
        plan = market.plan()
        planned = next(plan)
        while not until.is_set() and not reading.done():
            now = now_ms()
            while planned.at <= now:
                await self._send(producer, planned)
                planned = next(plan)
            while self._answers and self._answers[0][0] <= now:
                await self._send(producer, heapq.heappop(self._answers)[2])
            await asyncio.sleep(TURN_SECONDS)
        await producer.flush()

    async def _send(self, producer: AIOKafkaProducer, item: Publication) -> None:
        now = now_ms()
        if item.reason is None and item.topic == "drawdown-requests":
            request = msgspec.json.decode(item.value or b"", type=DrawdownRequest)
            self._journal.asked(request.drawdown_id, request.amount, now)
        self._journal.published += 1
        if item.reason is not None:
            self._journal.expected[item.reason] += 1
        await producer.send(
            self._settings.topic_prefix + item.topic,
            item.value,
            item.key,
            timestamp_ms=now + item.ahead_ms,
            headers=list(item.headers),
        )

    async def _read(self, consumer: AIOKafkaConsumer, market: Market) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=100)
            received = now_ms()
            for partition, messages in batches.items():
                topic = partition.topic.removeprefix(self._settings.topic_prefix)
                for message in messages:
                    self._take(
                        Record(
                            topic,
                            message.partition,
                            message.offset,
                            message.timestamp,
                            message.key,
                            message.value,
                            tuple(message.headers),
                            received,
                        ),
                        market,
                    )

    def _take(self, record: Record, market: Market) -> None:
        decision = self._journal.add(record)
        answers: list[Publication] = []
        if decision is not None:
            answers = market.answer_decision(decision, now_ms())
        elif record.topic == "credit-applications":
            application = msgspec.json.decode(record.value or b"", type=CreditApplication)
            answers = market.answer_advice(application, now_ms())
        self.add(answers)

    async def _settle(self, reading: asyncio.Task[None]) -> None:
        journal = self._journal
        deadline = time.monotonic() + (HOLD_OUT_SECONDS if self._hold_out else SETTLE_SECONDS)
        began = now_ms()
        while time.monotonic() < deadline and not reading.done():
            quiet = now_ms() - max(journal.last_output_at, began) > QUIET_MS
            all_read = journal.inputs_read >= journal.published
            decided = not journal.waiting and not (self._hold_out and journal.held)
            if quiet and all_read and decided and journal.dead_letters == journal.expected:
                return
            await asyncio.sleep(0.1)
        if reading.done():
            reading.result()


def now_ms() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000
