"""The log `rotation-config` as the commands read and write it."""

import asyncio
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from config.lifecycle import Entry, Lifecycle, history
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
    """The log as far as it reaches now; raises `aiokafka.errors.KafkaError`."""
    return ConfigLog(*history(await _values(settings)))


async def append(settings: Settings, record: Record) -> Written:
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
    return Written(before, after, entries[-1])


async def _values(settings: Settings) -> list[tuple[int, bytes]]:
    return [(each.offset, each.value or b"") async for each in read_topics(settings, [TOPIC])]
