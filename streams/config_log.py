"""The log `rotation-config` as the command line and the console read and write it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaProducer

from config.lifecycle import Entry, Lifecycle, advance, history
from config.problems import ConfigError
from config.records import Record, encode
from config.revisions import TOPIC
from config.settings import Settings
from streams.reading import read_topics
from streams.topics import topic_name


class ConfigLog(Protocol):
    """Where the log is: in Kafka, or behind a console."""

    async def values(self) -> list[tuple[int, bytes]]:
        """Offset and value of each of its records, as far as it reaches now."""

    async def append(self, record: Record) -> int:
        """Write a record behind the others; gives its offset."""


class Standing(NamedTuple):
    """What stands after the log, and each of its records with what came of it."""

    state: Lifecycle
    entries: list[Entry]


class Written(NamedTuple):
    """What stood before a record of ours, what stands after it, and what came of it."""

    before: Lifecycle
    after: Lifecycle
    entry: Entry


class RecordRefused(Exception):
    """A record breaks a rule of the life cycle: nothing has changed. `offset` is None when it was not even written."""

    def __init__(self, record: Record, offset: int | None, why: str) -> None:
        super().__init__(why)
        self.record = record
        self.offset = offset


class KafkaLog:
    """The log in Kafka; what it does raises `aiokafka.errors.KafkaError`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def values(self) -> list[tuple[int, bytes]]:
        """Read the topic from its beginning to its present end."""
        return [(each.offset, each.value or b"") async for each in read_topics(self._settings, [TOPIC])]

    async def append(self, record: Record) -> int:
        """Write a record and wait until it is confirmed."""
        async with AIOKafkaProducer(**self._settings.kafka_client_args(), acks="all") as producer:
            written = await producer.send_and_wait(
                topic_name(self._settings, TOPIC), value=encode(record), key=b"config", partition=0
            )
        return int(written.offset)


async def read_log(log: ConfigLog) -> Standing:
    """The log as far as it reaches, and what stands now; raises what `log` raises."""
    state, entries = history(await log.values())
    return Standing(state.at(datetime.now(UTC)), entries)


async def write(log: ConfigLog, make: Callable[[Lifecycle], Record]) -> tuple[Record, Written]:
    """Write the record that `make` makes of what stands; gives it with what came of it.

    A record that would be refused is not written. Raises `RecordRefused`, and whatever `make` and `log` raise.
    """
    state, _ = await read_log(log)
    record = make(state)
    try:
        advance(state, encode(record))
    except ConfigError as error:
        raise RecordRefused(record, None, str(error)) from None
    written = await _read_back(log, await log.append(record), record.occurred_at)
    if written.entry.refused is not None:
        raise RecordRefused(record, written.entry.offset, written.entry.refused)
    return record, written


async def _read_back(log: ConfigLog, offset: int, at: datetime) -> Written:
    """What came of the record at `offset`, signed at `at`: another one may have come before it."""
    while True:
        records = await log.values()
        if any(each == offset for each, _ in records):
            break
        await asyncio.sleep(0.1)  # it is acknowledged, so it will be seen
    before, _ = history(each for each in records if each[0] < offset)
    after, entries = history(each for each in records if each[0] <= offset)
    return Written(before.at(at), after, entries[-1])
