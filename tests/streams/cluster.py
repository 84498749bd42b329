"""What the tests of the stream do to a broker: topics, records, workers as processes."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from config.settings import Settings
from streams.batches import Record
from streams.embedded import free_port
from streams.topics import app_id, partition_counts, topic_name
from tests.streams.toy import OUTPUT, SOURCES

PARTITIONS = 4
Counts = dict[bytes, dict[tuple[bytes | None, ...], int]]
"""Counts by key and source record."""


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until `condition` holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


class Cluster:
    """A broker and a prefix of our own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.kafka = settings.kafka
        self._ready: dict[int, str] = {}

    def another(self) -> Settings:
        """Settings of another worker of the same application."""
        return replace(self.settings, web_port=free_port(), data=self.settings.data / uuid.uuid4().hex)

    def topic(self, name: str) -> str:
        """The name on the broker."""
        return topic_name(self.settings, name)

    @property
    def changelog(self) -> str:
        """The toy's changelog."""
        return f"{app_id(self.settings)}-counts-changelog"

    async def create_topics(self) -> None:
        """Create the toy's topics, its changelog too: a group that joins before the broker shows it does without."""
        names = [*(self.topic(name) for name in (*SOURCES, OUTPUT)), self.changelog]
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        await admin.close()

    async def until_gone(self, topic: str) -> None:
        """Wait until the broker knows a deleted topic no more."""
        async with asyncio.timeout(30):
            while True:
                if topic not in await partition_counts(self.settings):
                    return
                await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        """A plain producer."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, linger_ms=2)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def publish(self, count: int, *, keys: int = 20, start: int = 0) -> None:
        """Publish `count` records, alternating between the sources."""
        async with self.producer() as producer:
            for number in range(start, start + count):
                await producer.send(
                    self.topic(SOURCES[number % len(SOURCES)]), b"%d" % number, key=b"key-%d" % (number % keys)
                )

    async def read(self, topic: str) -> list[Record]:
        """All records of a topic, up to what a fetch says is its end: the embedded broker's own answer is too low."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest", fetch_max_wait_ms=50)
        await consumer.start()
        try:
            tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            consumer.assign(tps)
            records: list[Record] = []
            while any([(end := consumer.highwater(tp)) is None or await consumer.position(tp) < end for tp in tps]):
                for found in (await consumer.getmany(timeout_ms=100)).values():
                    records += found
            return records
        finally:
            await consumer.stop()

    async def committed(self) -> list[int]:
        """Committed offsets of the toy's group, where there are any."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka, group_id=app_id(self.settings), enable_auto_commit=False
        )
        await consumer.start()
        try:
            tps = [TopicPartition(self.topic(name), number) for name in SOURCES for number in range(PARTITIONS)]
            consumer.assign(tps)
            return [offset for tp in tps if (offset := await consumer.committed(tp))]
        finally:
            await consumer.stop()

    async def until_counted(self, total: int, seconds: float = 60.0) -> Counts:
        """Wait until the published counts add up to `total`; returns all of them by key and source record.

        Fails when one source record was counted as two different numbers, or two as the same: then a record was lost
        or doubled in the state.
        """
        deadline = time.monotonic() + seconds
        while True:
            counts = await self.counts()
            if sum(max(of_key.values()) for of_key in counts.values()) >= total:
                for of_key in counts.values():
                    assert sorted(of_key.values()) == list(range(1, len(of_key) + 1))
                assert sum(len(of_key) for of_key in counts.values()) == total
                return counts
            assert time.monotonic() < deadline, f"not counted in time: {[max(c.values()) for c in counts.values()]}"
            await asyncio.sleep(0.2)

    async def counts(self) -> Counts:
        """Published counts by key and source record; fails when a source record has two."""
        counts: Counts = defaultdict(dict)
        for record in await self.read(self.topic(OUTPUT)):
            source = tuple(value for _, value in record.headers)
            assert record.key is not None
            assert record.value is not None
            number = counts[record.key].setdefault(source, int(record.value))
            assert number == int(record.value), f"{record.key!r} {source}: {number} and then {record.value!r}"
        return counts

    def wait_ready(self, worker: "subprocess.Popen[bytes]", seconds: float = 120.0) -> None:
        """Wait until a worker's /readyz says so."""
        deadline = time.monotonic() + seconds
        while True:
            assert worker.poll() is None, "the worker ended"
            with contextlib.suppress(OSError), urllib.request.urlopen(self._ready[worker.pid], timeout=2) as answer:  # noqa: S310
                if json.load(answer)["ready"]:
                    return
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.05)

    @contextlib.contextmanager
    def worker(
        self, *options: str, module: str = "tests.streams.toy", data: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A toy worker process, in a folder of its own unless `data` is one; killed at the end if it still runs."""
        settings = self.another()
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                module,
                settings.kafka,
                settings.topic_prefix,
                str(settings.web_port),
                str(data or settings.data),
                f"--idempotent={int(settings.kafka_idempotence)}",
                f"--standbys={settings.standbys}",
                *options,
            ],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        self._ready[process.pid] = f"http://127.0.0.1:{settings.web_port}/readyz"
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
