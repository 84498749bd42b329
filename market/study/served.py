"""A study's router that is the real service: events go through Kafka in stream time, answers come from its topics.

One thing at a time, as in the core: an event is published, and what it causes is read before the next one. Behind each
event goes a record that is bad on purpose. When that has come out as a dead letter the event is done, and when a second
one has, what the event caused is out. With one partition stream time goes on for all borrowers at once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from config.settings import Settings
from market.publication import Publication, publication
from market.study.population import Person
from market.study.router import Answer, Decided, Review, paused
from rotation.events import BorrowerEvent, CaptureSignal, millis
from rotation.outputs import CaptureAlert, CreditApplication, Decision, FunderState
from streams.reading import stop_consumer
from streams.topics import topic_name

#: Of each topic.
PARTITIONS = 1
_OUTPUTS = ("routing-decisions", "credit-applications", "funder-states", "capture-alerts", "dead-letters")
_PATIENCE_SECONDS = 60


class ServiceSilent(Exception):
    """The service did not say within a minute that it was done with a record."""


class ServedRouter:
    """The service that works on the topics of `settings`, which exist and have one partition each."""

    def __init__(self, settings: Settings, check: Callable[[], None]) -> None:
        """`check` raises when the service has died."""
        self._settings, self._check = settings, check
        self._runner = asyncio.Runner()
        self._barriers, self._passed, self._refused = 0, 0, 0
        self._decisions: list[Decision] = []
        self._advice: list[CreditApplication] = []
        self._alerts: list[CaptureAlert] = []
        self._states: list[FunderState] = []
        self._reviewed = 0
        self._decided_by: dict[str, FunderState] = {}
        self._decided_to = 0

    def __enter__(self) -> Self:
        self._runner.run(self._connect())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._runner:
            self._runner.run(self._disconnect())

    def tell(self, person: Person, event: BorrowerEvent, at: int) -> Sequence[Answer]:
        """Publish it, and read all that comes of it, for others too whose drawdowns fell due by then."""
        refused = self._runner.run(self._done(publication(event, at)))
        answers = [Answer(person.customer_id, refused=True)] if refused else []
        answers += [Answer(decision.customer_id, [self._decided(decision)]) for decision in self._decisions]
        answers += [Answer(advice.customer_id, advised=[advice.funder_id]) for advice in self._advice]
        self._decisions, self._advice = [], []
        return answers

    def wake(self, person: Person, at: int) -> Sequence[Answer]:
        """Nothing: the service wakes by itself, and tells with the next event."""
        return ()

    def signal(self, signal: CaptureSignal, at: int) -> None:
        """Publish it, and wait until it is taken in."""
        self._runner.run(self._done(publication(signal, at)))

    def review(self, at: int) -> Review:
        """What the service has said of funders since the last day."""
        review = Review(self._states[self._reviewed :], self._alerts)
        self._reviewed, self._alerts = len(self._states), []
        return review

    def pace(self, at: int) -> Review:
        """Nothing: the service paces by itself."""
        return Review()

    def _decided(self, decision: Decision) -> Decided:
        """The decision, and who was paused by the funder states that it was made under."""
        for state in self._states[self._decided_to : decision.funder_states_version + 1]:
            self._decided_by[state.funder_id] = state
        self._decided_to = max(self._decided_to, decision.funder_states_version + 1)
        at = millis(datetime.fromisoformat(decision.decided_at))
        stopped = paused(self._decided_by.values())
        return Decided(decision.drawdown_id, decision.attempt, decision.status, decision.funder_id, at, stopped)

    async def _connect(self) -> None:
        self._producer = AIOKafkaProducer(**self._settings.kafka_client_args(), acks="all")
        await self._producer.start()
        self._consumer = AIOKafkaConsumer(
            **self._settings.kafka_consumer_args(), auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        await self._consumer.start()
        self._consumer.assign([TopicPartition(topic_name(self._settings, name), 0) for name in _OUTPUTS])

    async def _disconnect(self) -> None:
        await self._producer.stop()
        await stop_consumer(self._consumer)

    async def _done(self, item: Publication) -> bool:
        """Publish a record, and read what it causes; whether it was refused."""
        refused = self._refused
        await self._publish(item)
        for _ in range(2):
            self._barriers += 1
            await self._publish(replace(item, value=_barrier(self._barriers)))
            await self._until(lambda: self._passed == self._barriers)
        await self._until(lambda: all(each.funder_states_version < len(self._states) for each in self._decisions))
        return self._refused > refused

    async def _publish(self, item: Publication) -> None:
        topic = topic_name(self._settings, item.topic)
        await self._producer.send(topic, item.value, item.key, timestamp_ms=item.at)

    async def _until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not happened():
            self._check()
            if time.monotonic() > deadline:
                raise ServiceSilent(f"the service has not worked on a record for {_PATIENCE_SECONDS} s")
            for partition, records in (await self._consumer.getmany(timeout_ms=100)).items():
                for record in records:
                    self._take(partition.topic.removeprefix(self._settings.topic_prefix), record)

    def _take(self, topic: str, record: ConsumerRecord) -> None:
        match topic:
            case "routing-decisions":
                self._decisions.append(msgspec.json.decode(record.value, type=Decision))
            case "credit-applications":
                self._advice.append(msgspec.json.decode(record.value, type=CreditApplication))
            case "capture-alerts":
                self._alerts.append(msgspec.json.decode(record.value, type=CaptureAlert))
            case "funder-states":
                self._states.append(msgspec.json.decode(record.value, type=FunderState))
            case _ if record.value == _barrier(self._passed + 1):
                self._passed += 1
            case _:
                self._refused += 1


def _barrier(number: int) -> bytes:
    return b"barrier %d" % number
