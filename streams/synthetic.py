"""A synthetic borrower: asks again and again for the same drawdowns, and measures how long the decisions take.

One borrower on each partition, in turn. Their requests had expired long before: they are rejected, for want of time,
reserve nothing and teach nobody anything; asked again they are answered again, and no state grows. Which decision
answers which request is told by the trace context, which workers carry on.
"""

import asyncio
import logging
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from time import monotonic

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from config.settings import Settings
from streams.delays import BOUNDS
from streams.headers import trace_id
from streams.reading import stop_consumer
from streams.topics import partition_of, topic_name
from streams.unreachable import kafka_problem

log = logging.getLogger("loanrouter.synthetic")

#: How the ids of these borrowers and their drawdowns begin: nobody else's may.
RESERVED = "synthetic."
#: After so many seconds nobody waits for an answer any more.
LOST_SECONDS = 300.0
_RETRY_SECONDS = 1.0

REGISTRY = CollectorRegistry()
REQUESTS = Counter("loanrouter_synthetic_requests", "Requests of the synthetic borrower.", registry=REGISTRY)
LOST = Counter("loanrouter_synthetic_lost", "Requests that were never answered.", registry=REGISTRY)
DELAYS = Histogram(
    "loanrouter_synthetic_delay_seconds",
    "From the publishing of a request until its decision was read.",
    buckets=BOUNDS,
    registry=REGISTRY,
)
WAITING = Gauge(
    "loanrouter_synthetic_waiting_seconds", "How long the oldest unanswered request has waited.", registry=REGISTRY
)


class SyntheticBorrower:
    """Asks every `every` seconds, from `run` to its cancellation."""

    def __init__(self, settings: Settings, every: float) -> None:
        self._settings = settings
        self._every = every
        self._asked: dict[str, float] = {}  # when (monotonic), by trace id
        self._decisions = [
            TopicPartition(topic_name(settings, "routing-decisions"), number) for number in range(settings.partitions)
        ]
        WAITING.set_function(self._waiting)

    async def run(self) -> None:
        """Ask and listen; while Kafka is away, the first request that it cannot ask waits."""
        while True:
            self._asked.setdefault("", monotonic())  # the request that nobody could be asked yet
            try:
                await self._work()
            except (KafkaError, OSError) as error:
                log.warning("Kafka at %s: %s", self._settings.kafka, await kafka_problem(self._settings, error))
            await asyncio.sleep(_RETRY_SECONDS)

    async def _work(self) -> None:
        consumer = AIOKafkaConsumer(**self._settings.kafka_consumer_args(), fetch_max_wait_ms=50)
        try:
            await consumer.start()
            consumer.assign(self._decisions)
            await consumer.seek_to_end(*self._decisions)
            listening = asyncio.create_task(self._listen(consumer))
            try:
                async with AIOKafkaProducer(**self._settings.kafka_client_args(), acks="all") as producer:
                    self._asked.pop("", None)
                    for number in count():
                        await self._ask(producer, number % self._settings.partitions)
                        await asyncio.wait((listening,), timeout=self._every)
                        if listening.done():
                            listening.result()
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError, KafkaError, OSError):
                    await listening
        finally:
            await stop_consumer(consumer)

    async def _ask(self, producer: AIOKafkaProducer, partition: int) -> None:
        for trace, at in list(self._asked.items()):
            if monotonic() - at > LOST_SECONDS:
                del self._asked[trace]
                LOST.inc()
        trace = secrets.token_hex(16)
        headers = [("traceparent", f"00-{trace}-{secrets.token_hex(8)}-00".encode())]  # not sampled: nobody looks
        self._asked[trace] = monotonic()
        REQUESTS.inc()
        borrower = borrower_of(partition, self._settings.partitions)
        topic = topic_name(self._settings, "drawdown-requests")
        await producer.send_and_wait(topic, request_of(borrower), borrower.encode(), partition, headers=headers)

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    if (record.key or b"").startswith(RESERVED.encode()):
                        self._answered(trace_id(record.headers))

    def _answered(self, trace: str | None) -> None:
        if (at := self._asked.pop(trace or "-", None)) is not None:
            DELAYS.observe(monotonic() - at)

    def _waiting(self) -> float:
        return max((monotonic() - at for at in list(self._asked.values())), default=0.0)


def borrower_of(partition: int, partitions: int) -> str:
    """The reserved customer id on a partition."""
    ids = (f"{RESERVED}{number}" for number in count())
    return next(each for each in ids if partition_of(each.encode(), partitions) == partition)


def request_of(borrower: str) -> bytes:
    """A request of the borrower, the same each time but for what tells one publication from another."""
    return msgspec.json.encode(
        {
            "event_id": secrets.token_hex(16),
            "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "drawdown_id": borrower,
            "customer_id": borrower,
            "amount": 1,
            "term_months": 1,
            "region": "310000",
            "risk_grade": "A",
            "age": 18,
            "expires_at": "2000-01-01T00:00:00Z",
        }
    )
