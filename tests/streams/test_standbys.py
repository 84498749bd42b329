"""Copies of tables at other workers.

A standby holds what the owner wrote, and has nothing left to read when it takes over; where no standby is asked for,
no worker reads what another wrote.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from subprocess import Popen

from streams.app import LoanrouterApp
from tests.brokers import ON_APACHE
from tests.streams.cluster import PARTITIONS, Cluster, until
from tests.streams.test_restart import changelog_reads, counted, ready, table

pytestmark = ON_APACHE
RECORDS, KEYS = 400, 200
#: Of the changelog, when partitions move and all is known: the record that closed the state, and the claims.
FEW = 4 * PARTITIONS


@asynccontextmanager
async def beside_another(cluster: Cluster) -> AsyncIterator[tuple[LoanrouterApp, Popen[bytes]]]:
    """The toy in this process, and one more as a process: each has half of the partitions before anything is there."""
    await cluster.create_topics()
    async with ready(cluster.settings) as app:
        with cluster.worker() as other:
            await asyncio.to_thread(cluster.wait_ready, other)
            await until(lambda: len(owned(app)) == PARTITIONS // 2 and app.readiness.reasons() == [])
            yield app, other


def owned(app: LoanrouterApp) -> set[int]:
    """The partitions whose records the worker counts."""
    return {tp.partition for tp in app.assignor.assigned_actives() if tp.topic.endswith("numbers")}


def test_a_standby_takes_over_with_nothing_to_read(cluster: Cluster) -> None:
    """It holds what the other counted; when that is killed it counts on, having read no more than the marks."""

    async def run() -> None:
        async with beside_another(cluster) as (app, other):
            await cluster.publish(RECORDS, keys=KEYS)
            counts = await cluster.until_counted(RECORDS)
            await until(lambda: table(app) == counted(counts))
            before = changelog_reads()
            other.send_signal(signal.SIGKILL)
            await until(lambda: len(owned(app)) == PARTITIONS and app.readiness.reasons() == [])
            assert changelog_reads() - before <= FEW
            await cluster.publish(RECORDS, keys=KEYS, start=RECORDS)
            counts = await cluster.until_counted(2 * RECORDS)
            assert table(app) == counted(counts)

    asyncio.run(run())


def test_without_standbys_no_worker_reads_what_another_wrote(cluster: Cluster) -> None:
    """And still the other's partitions are taken over whole, from the changelog."""
    cluster.settings = replace(cluster.settings, standbys=0)

    async def run() -> None:
        async with beside_another(cluster) as (app, other):
            before = changelog_reads()
            await cluster.publish(RECORDS, keys=KEYS)
            await cluster.until_counted(RECORDS)
            assert changelog_reads() - before <= FEW
            other.send_signal(signal.SIGKILL)
            await until(lambda: len(owned(app)) == PARTITIONS and app.readiness.reasons() == [])
            assert changelog_reads() - before > KEYS // 4
            await cluster.publish(RECORDS, keys=KEYS, start=RECORDS)
            counts = await cluster.until_counted(2 * RECORDS)
            assert table(app) == counted(counts)

    asyncio.run(run())
