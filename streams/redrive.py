"""Re-driving dead letters: the records go back to their topic as they came, after what kept them out was put right.

How far each selection was re-driven is committed to Kafka under a group of its own, so that an interrupted run goes
on where it ended, from any machine. Offsets are committed after the records are confirmed: a crash between the two
re-drives some again, which changes nothing (events are idempotent).
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from config.settings import Settings
from streams.codec import INPUTS
from streams.deadletters import DEAD_LETTERS, REDRIVEN, DeadLetter
from streams.reading import read_topics
from streams.topics import app_id, partition_counts, topic_name

_COMMIT_EVERY = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters. Empty sets mean any; `topics` are contract names; `since` is when they were refused, ms."""

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since: int = 0

    def group(self, settings: Settings) -> str:
        """The consumer group that remembers how far these were re-driven; `since` does not make another one."""
        words = "|".join((*sorted(self.reasons), "", *sorted(self.topics)))
        return f"{app_id(settings)}-redrive-{hashlib.sha256(words.encode()).hexdigest()[:12]}"

    def takes(self, settings: Settings, letter: DeadLetter) -> bool:
        """Whether it is one of them."""
        return (
            letter.refused_at >= self.since
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic.removeprefix(settings.topic_prefix) in self.topics)
        )


@dataclass(slots=True)
class Plan:
    """What a run would do: numbers by reason, those left alone by why, and the last offset of each partition."""

    reasons: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    last: dict[int, int] = field(default_factory=dict)


async def read_dead_letters(settings: Settings, selection: Selection) -> AsyncIterator[DeadLetter]:
    """The selected dead letters up to the present end, each partition's in order. Raises `KafkaError`."""
    async for record in read_topics(settings, [DEAD_LETTERS]):
        letter = DeadLetter.read(record)
        if selection.takes(settings, letter):
            yield letter


class Redrive:
    """Re-drives one selection. `max_redrives` ends the circle of a record that is refused again and again."""

    def __init__(self, settings: Settings, selection: Selection, *, max_redrives: int, again: bool) -> None:
        """`again`: also those that earlier runs over the same selection re-drove."""
        self._settings = settings
        self._selection = selection
        self._max_redrives = max_redrives
        self._again = again
        self._inputs = {topic_name(settings, name) for name in INPUTS}

    async def plan(self, limit: int | None = None) -> Plan:
        """What a run would do now, with at most `limit` records. Raises `KafkaError`."""
        plan = Plan()
        async for letter in self._pending():
            if plan.reasons.total() == limit:
                break
            why = self._why_left(letter)
            if why is None:
                plan.reasons[letter.reason] += 1
            else:
                plan.left[why] += 1
            plan.last[letter.partition] = letter.offset
        return plan

    async def run(self, plan: Plan) -> int:
        """Re-drive what the plan counted; returns how many. Raises `KafkaError`: what is left, the next run does."""
        settings = self._settings
        producer = AIOKafkaProducer(
            **settings.kafka_client_args(), acks="all", enable_idempotence=settings.kafka_idempotence
        )
        redriven = 0
        sent: list[asyncio.Future[RecordMetadata]] = []
        done: dict[int, int] = {}
        async with producer, self._progress() as progress:
            async for letter in self._pending():
                if letter.offset > plan.last.get(letter.partition, -1):
                    continue
                if self._why_left(letter) is None:
                    sent.append(await producer.send(**self._record(letter)))
                    redriven += 1
                done[letter.partition] = letter.offset + 1
                if len(sent) == _COMMIT_EVERY:
                    await self._confirm(sent, progress, done)
                    sent.clear()
            await self._confirm(sent, progress, done)
        return redriven

    async def _pending(self) -> AsyncIterator[DeadLetter]:
        begin: dict[int, int] = {}
        if not self._again:
            async with self._progress() as progress:
                for tp in progress.assignment():
                    begin[tp.partition] = await progress.committed(tp) or 0
        async for letter in read_dead_letters(self._settings, self._selection):
            if letter.offset >= begin.get(letter.partition, 0):
                yield letter

    @asynccontextmanager
    async def _progress(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer that fetches nothing: it reads and commits how far the selection was re-driven."""
        topic = topic_name(self._settings, DEAD_LETTERS)
        partitions = (await partition_counts(self._settings)).get(topic, 0)
        consumer = AIOKafkaConsumer(
            **self._settings.kafka_consumer_args(),
            group_id=self._selection.group(self._settings),
            enable_auto_commit=False,
        )
        try:
            await consumer.start()
            consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
            consumer.pause(*consumer.assignment())
            yield consumer
        finally:
            await consumer.stop()

    async def _confirm(
        self, sent: Iterable[asyncio.Future[RecordMetadata]], progress: AIOKafkaConsumer, done: Mapping[int, int]
    ) -> None:
        await asyncio.gather(*sent)
        topic = topic_name(self._settings, DEAD_LETTERS)
        if done:
            await progress.commit({TopicPartition(topic, partition): offset for partition, offset in done.items()})

    def _why_left(self, letter: DeadLetter) -> str | None:
        if letter.topic not in self._inputs:
            return "its topic is no input topic here"
        if letter.reason == "too_large":
            return "it is too large for ever"
        if letter.key is None and letter.value is None:
            return "it has neither key nor value"
        if letter.redriven >= self._max_redrives:
            return f"it was re-driven {self._max_redrives} times"
        return None

    def _record(self, letter: DeadLetter) -> dict[str, Any]:
        """The original record with the count of its re-drives; Kafka's default partitioner places it again.

        With the wall clock it is stamped now, or a `timestamp_in_future` would stay one; stream time is past its
        own timestamp anyhow. With the stream clock now may be any time to the topics, so it keeps its timestamp.
        """
        headers = [(name, value) for name, value in letter.headers if name != REDRIVEN]
        return {
            "topic": letter.topic,
            "key": letter.key,
            "value": letter.value,
            "headers": [*headers, (REDRIVEN, str(letter.redriven + 1).encode())],
            "timestamp_ms": None if self._settings.clock == "wall" else max(0, letter.source_timestamp),
        }
