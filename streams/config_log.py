"""The log `rotation-config` as the command line and the console read and write it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from config.lifecycle import Entry, Lifecycle, advance, history
from config.problems import ConfigError
from config.records import Record, encode
from config.revisions import TOPIC
from config.settings import Settings
from streams.reading import read_topics
from streams.topics import topic_name


class ConfigLog(NamedTuple):
    """What stands after the log, and each of its records with what came of it."""

    state: Lifecycle
    entries: list[Entry]


class Written(NamedTuple):
    """What stood before a record of ours, what stands after it, and what came of it."""

    before: Lifecycle
    after: Lifecycle
    entry: Entry


async def read_log(settings: Settings) -> ConfigLog:
    """The log as far as it reaches, and what stands now; raises `aiokafka.errors.KafkaError`."""
    state, entries = history(await _values(settings))
    return ConfigLog(state.at(datetime.now(UTC)), entries)


class RecordRefused(Exception):
    """A record breaks a rule of the life cycle: nothing has changed. `offset` is None when it was not even written."""

    def __init__(self, record: Record, offset: int | None, why: str) -> None:
        super().__init__(why)
        self.record = record
        self.offset = offset


async def write(settings: Settings, make: Callable[[Lifecycle], Record]) -> tuple[Record, Written]:
    """Write the record that `make` makes of what stands; gives it with what came of it.

    A record that would be refused is not written. Raises `RecordRefused`, whatever `make` raises, and
    `aiokafka.errors.KafkaError`.
    """
    state, _ = await read_log(settings)
    record = make(state)
    try:
        advance(state, encode(record))
    except ConfigError as error:
        raise RecordRefused(record, None, str(error)) from None
    written = await _append(settings, record)
    if written.entry.refused is not None:
        raise RecordRefused(record, written.entry.offset, written.entry.refused)
    return record, written


async def _append(settings: Settings, record: Record) -> Written:
    """Write a record and read back what came of it: another one may have come first."""
    async with AIOKafkaProducer(**settings.kafka_client_args(), acks="all") as producer:
        written = await producer.send_and_wait(
            topic_name(settings, TOPIC), value=encode(record), key=b"config", partition=0
        )
    while True:
        records = await _values(settings)
        if any(offset == written.offset for offset, _ in records):
            break
        await asyncio.sleep(0.1)  # it is acknowledged, so it will be seen
    before, _ = history(each for each in records if each[0] < written.offset)
    after, entries = history(each for each in records if each[0] <= written.offset)
    return Written(before.at(record.occurred_at), after, entries[-1])


async def _values(settings: Settings) -> list[tuple[int, bytes]]:
    return [(each.offset, each.value or b"") async for each in read_topics(settings, [TOPIC])]
