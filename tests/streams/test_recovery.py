"""What survives: kill -9, a crash between changelog and outputs, an error of the producer, a writer that was fenced."""

import asyncio
import signal
import subprocess
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.batches import Batch
from streams.positions import POSITION_KEY, STAMP, Position, encode_position, stamp
from streams.worker import running
from tests.streams.cluster import PARTITIONS, Cluster, until
from tests.streams.toy import OUTPUT, counting_app, produce_with


async def until_ended(process: "subprocess.Popen[bytes]", seconds: float = 30.0) -> int:
    """The exit code of a process."""
    await until(lambda: process.poll() is not None, seconds)
    return int(process.returncode)


async def table_of(cluster: Cluster) -> dict[bytes, bytes]:
    """The toy's whole table, as one more worker recovers it."""
    app = counting_app(cluster.another())
    async with running(app):
        await until(lambda: app.readiness.reasons() == [])
        table = app.batch_agents["counter"].table
        return dict(item for partition in range(PARTITIONS) for item in table.partition_items(partition))


def test_a_killed_worker_leaves_the_exact_state(cluster: Cluster) -> None:
    """After kill -9 in mid-work the next worker goes on from the exact state: every record counts once."""

    async def run() -> None:
        await cluster.create_topics()
        publishing = asyncio.create_task(cluster.publish(6000))
        for _ in range(2):
            with cluster.worker("--slow=0.05") as worker:
                before = len(await cluster.read(cluster.topic(OUTPUT)))
                while len(await cluster.read(cluster.topic(OUTPUT))) <= before:
                    assert worker.poll() is None
                worker.send_signal(signal.SIGKILL)
        await publishing
        with cluster.worker():
            counts = await cluster.until_counted(6000)
        assert await table_of(cluster) == {key: b"%d" % len(of_key) for key, of_key in counts.items()}

    asyncio.run(run())


def test_a_crash_before_the_outputs_loses_none(cluster: Cluster) -> None:
    """Killed after the changelog and before the outputs: the next owner publishes them, with the same bytes."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(100)
        with cluster.worker("--die-before-outputs=1") as worker:
            assert await until_ended(worker) == -signal.SIGKILL
        assert await cluster.read(cluster.topic(OUTPUT)) == []
        assert len(await cluster.read(cluster.changelog)) > PARTITIONS
        with cluster.worker():
            await cluster.until_counted(100)

    asyncio.run(run())


def test_nothing_is_published_again_after_a_graceful_stop(cluster: Cluster) -> None:
    """A stop commits: the next owner has nothing to repeat."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(100)
        for _ in range(2):
            app = counting_app(cluster.another())
            async with running(app):
                await cluster.until_counted(100)
        assert len(await cluster.read(cluster.topic(OUTPUT))) == 100

    asyncio.run(run())


def test_the_changelog_position_beats_older_committed_offsets(cluster: Cluster) -> None:
    """With the group's offsets gone, the records before the changelog's position are not counted again."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(100)
        app = counting_app(cluster.settings)
        app.conf.broker_commit_interval = 3600.0
        async with running(app):
            await cluster.until_counted(100)
            app.consumer._next_offsets.clear()  # as if every commit had failed
        assert await cluster.committed() == []
        await cluster.publish(50, start=100)
        again = counting_app(cluster.another())
        async with running(again):
            await cluster.until_counted(150)

    asyncio.run(run())


def test_records_that_change_nothing_are_committed_without_a_write(cluster: Cluster) -> None:
    """A partition whose records change nothing advances its committed offsets and writes no changelog."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(40)
        read = 0

        async def ignore(batch: Batch) -> None:
            nonlocal read
            await batch.commit({})
            read += sum(len(part.records) for part in batch.partitions)

        app = counting_app(cluster.settings, before=ignore, counting=False)
        async with running(app):
            await until(lambda: read == 40)
        assert sum(await cluster.committed()) == 40
        assert len(await cluster.read(cluster.changelog)) == PARTITIONS  # the claims

    asyncio.run(run())


def test_a_producer_error_ends_the_process_and_counts_once(cluster: Cluster) -> None:
    """An error of Kafka while outputs are sent is not swallowed; the next worker publishes them."""

    class Failing(AIOKafkaProducer):  # type: ignore[misc]
        async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
            if topic.endswith(OUTPUT):
                raise KafkaError("broken")
            return await super().send_batch(batch, topic, partition=partition)

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(50)
        app = counting_app(cluster.settings)
        produce_with(app, Failing)
        with pytest.raises(KafkaError):
            async with running(app):
                await asyncio.wait_for(app.wait_until_stopped(), 20)
        with cluster.worker():
            await cluster.until_counted(50)

    asyncio.run(run())


def test_a_fenced_writers_late_records_do_not_count(cluster: Cluster) -> None:
    """Records under a lower epoch than one seen before are ignored, and the owner that meets them stops.

    What they might hide after a compaction is written again by the next owner.
    """

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(100)
        app = counting_app(cluster.another())
        async with running(app):
            counts = await cluster.until_counted(100)
            table = app.batch_agents["counter"].table
            partition = next(number for number in range(PARTITIONS) if table.partition(number).data)
            key, before = next(table.partition_items(partition))
            epoch = table.partition(partition).owned_epoch
        async with cluster.producer() as zombie:
            late = stamp(epoch - 1)
            await zombie.send_and_wait(cluster.changelog, late + b"999", key=key, partition=partition)
            await zombie.send_and_wait(
                cluster.changelog, late + encode_position(Position(99)), key=POSITION_KEY, partition=partition
            )
        assert (await table_of(cluster))[key] == before
        latest = {found.key: found.value or b"" for found in await cluster.read(cluster.changelog)}
        assert latest[key][STAMP.size :] == before
        assert sum(len(of_key) for of_key in counts.values()) == 100

    asyncio.run(run())


def test_a_foreign_write_ends_the_owner(cluster: Cluster) -> None:
    """The owner of a changelog partition stops when its next record does not stand where it must."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(100)
        with cluster.worker() as worker:
            await cluster.until_counted(100)
            async with cluster.producer() as zombie:
                for partition in range(PARTITIONS):
                    await zombie.send_and_wait(cluster.changelog, stamp(0) + b"9", key=b"key-0", partition=partition)
            await cluster.publish(100, start=100)
            assert await until_ended(worker) != 0
        with cluster.worker():
            await cluster.until_counted(200)

    asyncio.run(run())
