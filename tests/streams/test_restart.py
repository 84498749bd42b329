"""Restarts from the local store.

Whatever ends a worker, its next start gives the state of the changelog, and reads only what the store lacks. A store
that is damaged, belongs to other topics, or says what the changelog does not, is rebuilt.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from config.settings import Settings
from streams.app import LoanrouterApp
from streams.batches import Batch, PartitionResult
from streams.metrics import REGISTRY
from streams.topics import TopicsError, app_id
from streams.worker import running
from tests.brokers import ON_APACHE
from tests.streams.cluster import PARTITIONS, Cluster, Counts, until
from tests.streams.toy import SOURCES, counting_app

pytestmark = ON_APACHE


@asynccontextmanager
async def ready(settings: Settings) -> AsyncIterator[LoanrouterApp]:
    """The toy in this process, from when it is ready."""
    app = counting_app(settings)
    async with running(app):
        await until(lambda: app.readiness.reasons() == [], 60)
        yield app


async def worked(cluster: Cluster, records: int) -> Counts:
    """Make the topics, and let a worker count that many records and stop; the counts it published."""
    await cluster.create_topics()
    await cluster.publish(records)
    async with ready(cluster.settings):
        return await cluster.until_counted(records)


def table(app: LoanrouterApp) -> dict[bytes, int]:
    """The toy's whole table."""
    kept = app.batch_agents["counter"].table
    return {key: int(count) for number in range(PARTITIONS) for key, count in kept.partition_items(number)}


def counted(counts: Counts) -> dict[bytes, int]:
    """What the table must hold."""
    return {key: len(of_key) for key, of_key in counts.items()}


def changelog_reads() -> int:
    """How many changelog records this process has read."""
    return int(REGISTRY.get_sample_value("loanrouter_changelog_records_total", {"table": "counts"}) or 0)


async def end_of_changelog(cluster: Cluster) -> int:
    """How many records the toy's changelog has."""
    return len(await cluster.read(cluster.changelog))


def test_a_restart_reads_only_the_rest_of_the_changelog(cluster: Cluster) -> None:
    """Of each partition: the record that closed the stored state, the one before it, and all after them."""

    async def run() -> None:
        await worked(cluster, 400)
        known = await end_of_changelog(cluster)
        with cluster.worker():
            await cluster.publish(200, start=400)
            counts = await cluster.until_counted(600)
        rest = await end_of_changelog(cluster) - known
        before = changelog_reads()
        async with ready(cluster.settings) as app:
            assert changelog_reads() - before <= rest + 2 * PARTITIONS
            assert table(app) == counted(counts)
        before = changelog_reads()
        async with ready(cluster.settings) as app:
            assert changelog_reads() - before <= 2 * PARTITIONS
            assert table(app) == counted(counts)

    asyncio.run(run())


def test_a_killed_worker_goes_on_from_its_store(cluster: Cluster) -> None:
    """After kill -9 in mid-work on one folder every record counts once, and not all of the changelog is read again."""

    async def publish_in_step() -> None:
        """Publish little more than what is counted: one batch with everything could be lost from memory as a whole."""
        for start in range(0, 9000, 500):
            while sum(map(len, (await cluster.counts()).values())) < start - 500:  # noqa: ASYNC110  # the broker tells nobody
                await asyncio.sleep(0.05)
            await cluster.publish(500, keys=2000, start=start)

    async def run() -> None:
        await cluster.create_topics()
        publishing = asyncio.create_task(publish_in_step())
        data = cluster.settings.data
        for share in (0.2, 0.4, 0.6):
            with cluster.worker("--pad=8000", "--slow=0.05", data=data) as worker:
                while sum(map(len, (await cluster.counts()).values())) < share * 9000:
                    assert worker.poll() is None
                worker.send_signal(signal.SIGKILL)
        with cluster.worker("--pad=8000", data=data) as worker:
            await publishing
            counts = await cluster.until_counted(9000)
            worker.send_signal(signal.SIGKILL)
        before = changelog_reads()
        async with ready(cluster.settings) as app:
            assert table(app) == counted(counts)
            assert changelog_reads() - before < await end_of_changelog(cluster) / 2

    asyncio.run(run())


def test_partitions_that_come_back_are_caught_up(cluster: Cluster) -> None:
    """Revoked partitions stay on disk: when their other owner leaves, only what it wrote is read."""

    async def run() -> None:
        await cluster.create_topics()
        await cluster.publish(400)
        async with ready(cluster.settings) as app:
            await cluster.until_counted(400)
            before, known = changelog_reads(), await end_of_changelog(cluster)
            with cluster.worker() as other:
                await asyncio.to_thread(cluster.wait_ready, other)
                await cluster.publish(400, start=400)
                await cluster.until_counted(800)
                other.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(other.wait, 60) == 0
            await until(lambda: app.readiness.reasons() == [] and len(app.consumer.assignment()) >= 3 * PARTITIONS, 60)
            await cluster.publish(100, start=800)
            counts = await cluster.until_counted(900)
            assert table(app) == counted(counts)
            rest = await end_of_changelog(cluster) - known
            assert changelog_reads() - before <= rest + 4 * PARTITIONS

    asyncio.run(run())


def test_what_is_deleted_stays_deleted(cluster: Cluster) -> None:
    """A deleted key is gone from the store, and from one that is rebuilt."""

    async def run() -> None:
        await cluster.create_topics()
        done = asyncio.Event()
        left: list[dict[bytes, bytes | None]] = [{b"b": None}, {b"a": b"1", b"b": b"2"}]

        async def write(batch: Batch) -> None:
            await batch.commit({0: PartitionResult(left.pop(), b"memo", [])} if left else {})
            if not left:
                done.set()

        app = counting_app(cluster.settings, before=write, counting=False)
        async with running(app):
            app.request_tick()
            await until(lambda: len(left) < 2)
            app.request_tick()
            await asyncio.wait_for(done.wait(), 20)
        for settings in (cluster.settings, cluster.another()):
            async with ready(settings) as again:
                assert table(again) == {b"a": 1}

    asyncio.run(run())


def test_an_empty_store_is_opened_again(cluster: Cluster) -> None:
    """A worker that has seen no record starts and stops, and counts the first one later."""

    async def run() -> None:
        await cluster.create_topics()
        for _ in range(2):
            async with ready(cluster.settings) as app:
                assert table(app) == {}
        await cluster.publish(10)
        async with ready(cluster.settings) as app:
            counts = await cluster.until_counted(10)
            assert table(app) == counted(counts)

    asyncio.run(run())


def test_a_store_of_another_prefix_is_not_used(cluster: Cluster) -> None:
    """A folder that served other topics serves these as if it were new."""

    async def run() -> None:
        await worked(cluster, 100)
        other = Cluster(replace(cluster.settings, topic_prefix=cluster.settings.topic_prefix + "other."))
        await other.create_topics()
        await other.publish(30)
        async with ready(other.settings) as app:
            counts = await other.until_counted(30)
            assert table(app) == counted(counts)

    asyncio.run(run())


async def _make_anew(cluster: Cluster) -> None:
    """Delete the toy's changelog and make it again, empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka)
    await admin.start()
    await admin.delete_topics([cluster.changelog])
    await admin.close()
    await cluster.until_gone(cluster.changelog)
    await cluster.create_topics()


async def _read_again(cluster: Cluster) -> None:
    """Set the group's offsets back to the beginning, as an operator does who begins anew."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.kafka, group_id=app_id(cluster.settings), enable_auto_commit=False
    )
    await consumer.start()
    tps = [TopicPartition(cluster.topic(name), number) for name in SOURCES for number in range(PARTITIONS)]
    consumer.assign(tps)
    await consumer.commit(dict.fromkeys(tps, 0))
    await consumer.stop()


def test_an_empty_changelog_is_refused(cluster: Cluster) -> None:
    """A worker does not start without what was known before, with a local store or without, and writes nothing."""

    async def run() -> None:
        await worked(cluster, 100)
        await _make_anew(cluster)
        for settings in (cluster.settings, cluster.another()):
            with pytest.raises(TopicsError, match=cluster.changelog):
                async with ready(settings):
                    pass
        assert await cluster.read(cluster.changelog) == []

    asyncio.run(run())


def test_a_truncated_changelog_is_refused(cluster: Cluster) -> None:
    """A worker does not start when the first records of the changelog are gone."""

    async def run() -> None:
        await worked(cluster, 100)
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka)
        await admin.start()
        await admin.delete_records({TopicPartition(cluster.changelog, 0): RecordsToDelete(1)})
        await admin.close()
        with pytest.raises(TopicsError, match=cluster.changelog):
            async with ready(cluster.settings):
                pass

    asyncio.run(run())


@pytest.mark.parametrize("later", [0, 300])
def test_a_changelog_made_anew_is_believed(cluster: Cluster, later: int) -> None:
    """Begun anew on purpose: the old store is not used, be the new changelog shorter or longer than it."""

    async def run() -> None:
        await worked(cluster, 100)
        await _make_anew(cluster)
        await _read_again(cluster)
        expected = {}
        async with ready(cluster.another()) as app:
            if later:
                await cluster.publish(later, start=100, keys=50)
            await until(lambda: sum(table(app).values()) == 100 + later)
            expected = table(app)
        async with ready(cluster.settings) as app:
            assert table(app) == expected

    asyncio.run(run())


def _empty(files: Path) -> None:
    (files / "rocksdb" / "CURRENT").write_bytes(b"")


def _truncate(files: Path) -> None:
    for table_file in (files / "rocksdb").glob("*.sst"):
        os.truncate(table_file, 100)


def _lose(files: Path) -> None:
    for table_file in (files / "rocksdb").glob("*.sst"):
        table_file.unlink()


def _scribble(files: Path) -> None:
    for manifest in (files / "rocksdb").glob("MANIFEST*"):
        manifest.write_bytes(b"scribble" * 100)


def _unsign(files: Path) -> None:
    (files / "identity.json").write_text("{")


@pytest.mark.parametrize("damage", [_empty, _truncate, _lose, _scribble, _unsign])
def test_a_damaged_store_is_rebuilt(cluster: Cluster, damage: Callable[[Path], None]) -> None:
    """Damaged files make the worker read the changelog, and it starts with the same state."""

    async def run() -> None:
        counts = await worked(cluster, 100)
        damage(cluster.settings.data / "tables")
        async with ready(cluster.settings) as app:
            assert table(app) == counted(counts)

    asyncio.run(run())


def test_a_full_disk_stops_the_worker(cluster: Cluster) -> None:
    """A store that cannot be written ends the process, at work and in recovery; what it lacks counts later, once."""

    async def run() -> None:
        await cluster.create_topics()
        total = 0
        with cluster.worker("--pad=8000", "--largest-file=1000000", data=cluster.settings.data) as worker:
            await asyncio.to_thread(cluster.wait_ready, worker)
            deadline = time.monotonic() + 60
            while worker.poll() is None:
                await cluster.publish(500, start=total, keys=500)
                total += 500
                await asyncio.sleep(0.5)
                assert time.monotonic() < deadline
            assert worker.returncode == 1
        with cluster.worker("--pad=8000", data=cluster.settings.data):
            await cluster.until_counted(total)
        with cluster.worker("--largest-file=1000000") as fresh:
            await until(lambda: fresh.poll() is not None, 60)
            assert fresh.returncode == 1

    asyncio.run(run())
