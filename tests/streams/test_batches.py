"""What an agent is handed, and when."""

import asyncio
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.batches import Batch, PartitionResult, Revoked
from streams.worker import running
from tests.brokers import ApacheKafka
from tests.conftest import Broker
from tests.streams.cluster import PARTITIONS, Cluster, until
from tests.streams.toy import OUTPUT, SOURCES, counting_app


def test_batches_hold_everything_fetched_in_order(cluster: Cluster) -> None:
    """All waiting records come in few batches, each partition's topics merged by timestamp, none lost."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(2000)
        batches: list[Batch] = []

        async def keep(batch: Batch) -> None:
            batches.append(batch)

        async with running(counting_app(cluster.settings, before=keep)):
            await until(lambda: sum(len(part.records) for batch in batches for part in batch.partitions) >= 2000)
        assert len(batches) < 40
        seen: dict[tuple[str, int], int] = {}
        for batch in batches:
            for part in batch.partitions:
                times = [found.timestamp for found in part.records]
                assert times == sorted(times)
                for found in part.records:
                    assert found.offset == seen.get((found.topic, found.partition), 0)
                    seen[found.topic, found.partition] = found.offset + 1

    asyncio.run(run())


def test_a_backlog_comes_in_order_though_it_takes_many_fetches(cluster: Cluster) -> None:
    """What is late in a quiet topic waits for all that is earlier in a busy one, which one fetch does not hold."""

    async def run() -> None:
        await cluster.create_topics()
        busy, quiet = map(cluster.topic, SOURCES)
        begin = int(time.time() * 1000) - 4000
        async with cluster.producer() as producer:
            for number in range(3000):
                await producer.send(busy, b"x" * 700, b"k", 0, begin + number)
                if number % 500 == 499:
                    await producer.send(quiet, b"x", b"k", 0, begin + number)
        times: list[int] = []
        batches = 0

        async def keep(batch: Batch) -> None:
            nonlocal batches
            batches += not batch.is_tick
            times.extend(record.timestamp for part in batch.partitions for record in part.records)

        async with running(counting_app(cluster.settings, before=keep)):
            await until(lambda: len(times) >= 3006)
        assert batches > 1
        assert times == sorted(times)

    asyncio.run(run())


@pytest.mark.apache
def test_what_a_transaction_took_back_never_comes(apache_kafka: ApacheKafka, redis_url: str, tmp_path: Path) -> None:
    """Of two aborted transactions and a committed one between them, only the records of that one are handed on."""
    cluster = Cluster(Broker(apache_kafka.bootstrap, idempotence=True).settings(redis_url, tmp_path))

    async def publish(producer: AIOKafkaProducer, value: bytes) -> None:
        for _ in range(3):
            await producer.send_and_wait(cluster.topic(SOURCES[0]), value, b"k", partition=0)

    async def run() -> None:
        await cluster.create_topics()
        handed: list[bytes | None] = []

        async def keep(batch: Batch) -> None:
            handed.extend(found.value for part in batch.partitions for found in part.records)

        async with AIOKafkaProducer(bootstrap_servers=cluster.kafka, transactional_id=cluster.topic("t")) as producer:
            for value, kept in ((b"aborted", False), (b"committed", True), (b"aborted too", False)):
                await producer.begin_transaction()
                await publish(producer, value)
                await (producer.commit_transaction() if kept else producer.abort_transaction())
        async with cluster.producer() as producer:
            await publish(producer, b"plain")
        async with running(counting_app(cluster.settings, before=keep)):
            await until(lambda: len(handed) >= 6)

        assert handed == [b"committed"] * 3 + [b"plain"] * 3

    asyncio.run(run())


def test_a_record_on_an_idle_stream_arrives_at_once(cluster: Cluster) -> None:
    """There is no fixed wait: a lone record is counted well before a poll would time out."""

    async def run() -> None:
        await cluster.create_topics()
        arrived: list[float] = []

        async def note(batch: Batch) -> None:
            arrived.append(time.monotonic())

        async with (
            running(counting_app(cluster.settings, before=note)),
            cluster.producer() as producer,
        ):
            delays: list[float] = []
            for _ in range(5):
                await asyncio.sleep(0.3)
                sent = time.monotonic()
                await producer.send_and_wait(cluster.topic(SOURCES[0]), b"x", key=b"k")
                await until(lambda: len(arrived) == len(delays) + 1)
                delays.append(arrived[-1] - sent)
        assert sorted(delays)[2] < 0.8

    asyncio.run(run())


def test_batches_grow_while_the_agent_is_busy(cluster: Cluster) -> None:
    """Back-pressure: while one batch is in work nothing is handed on, and the next holds all that came meanwhile."""

    async def run() -> None:
        await cluster.create_topics()
        sizes: list[int] = []
        go = asyncio.Event()

        async def hold(batch: Batch) -> None:
            sizes.append(sum(len(part.records) for part in batch.partitions))
            await go.wait()

        async with running(counting_app(cluster.settings, before=hold)):
            await cluster.publish(1)
            await until(lambda: len(sizes) == 1)
            await cluster.publish(500, start=1)
            await asyncio.sleep(1.0)
            assert sizes == [1]
            go.set()
            await until(lambda: sum(sizes) == 501)
            assert len(sizes) < 30

    asyncio.run(run())


def test_a_tick_has_every_partition_and_no_records(cluster: Cluster) -> None:
    """A requested tick comes once the agent is free, once however often it was requested, and may publish."""

    async def run() -> None:
        await cluster.create_topics()
        ticks: list[Batch] = []

        async def note(batch: Batch) -> None:
            if batch.is_tick:
                ticks.append(batch)

        app = counting_app(cluster.settings, before=note)
        async with running(app):
            app.request_tick()
            app.request_tick()
            await until(lambda: len(ticks) == 1)
            await asyncio.sleep(0.3)
            assert len(ticks) == 1
            assert [part.partition for part in ticks[0].partitions] == list(range(PARTITIONS))
        assert (
            len(await cluster.read(cluster.changelog)) == PARTITIONS
        )  # the claims alone: a tick without changes writes nothing

    asyncio.run(run())


def test_records_come_however_many_ticks_are_requested(cluster: Cluster) -> None:
    """And ticks however many records there are: each gets its turn."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(2000)
        sizes: list[int] = []

        async def tick_again(batch: Batch) -> None:
            sizes.append(sum(len(part.records) for part in batch.partitions))
            app.request_tick()

        app = counting_app(cluster.settings, before=tick_again)
        async with running(app):
            app.request_tick()
            await until(lambda: sum(sizes) == 2000)
            ticks = sizes.count(0)
            await cluster.publish(1, start=2000)
            await until(lambda: sum(sizes) == 2001 and sizes.count(0) > ticks)

    asyncio.run(run())


def test_a_very_large_batch_is_split_and_counts_once(cluster: Cluster) -> None:
    """Changes and outputs beyond the largest Kafka batch are written in several, and survive a restart."""

    async def run() -> None:
        await cluster.create_topics()
        app = counting_app(cluster.settings)
        large = {b"key-%d" % number: b"%d" % number + b"x" * 1000 for number in range(3000)}
        done = asyncio.Event()

        async def write(batch: Batch) -> None:
            if not done.is_set():
                await batch.commit({0: PartitionResult(dict(large), b"memo", [])})
                done.set()
            raise Revoked

        app = counting_app(cluster.settings, before=write)
        async with running(app):
            app.request_tick()
            await asyncio.wait_for(done.wait(), 20)
        again = counting_app(cluster.another())
        async with running(again):
            table = again.batch_agents["counter"].table
            await until(lambda: again.readiness.reasons() == [])
            assert dict(table.partition_items(0)) == large
            assert table.partition(0).position.memo == b"memo"

    asyncio.run(run())


def test_an_error_in_an_agent_ends_the_application(cluster: Cluster) -> None:
    """An exception that is not `Revoked` comes out of the running application; nothing is acknowledged."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(10)

        async def fail(batch: Batch) -> None:
            raise ZeroDivisionError

        app = counting_app(cluster.settings, before=fail)
        with pytest.raises(ZeroDivisionError):
            async with running(app):
                await asyncio.wait_for(app.wait_until_stopped(), 20)
        assert await cluster.committed() == []
        assert await cluster.read(cluster.topic(OUTPUT)) == []

    asyncio.run(run())
