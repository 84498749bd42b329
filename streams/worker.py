"""Running the application: waits for Kafka and the topics, drains on SIGTERM, fails loudly."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

import uvloop
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from config.settings import Settings
from streams.app import LoanrouterApp
from streams.changelogs import check_changelog
from streams.ending import asked_to_end
from streams.store import Identity
from streams.unreachable import kafka_problem

T = TypeVar("T")
RETRY_SECONDS = 0.5
REMIND_SECONDS = 10.0
#: A batch makes many objects, a few hundred thousand at once, and no cycles: Python's usual thresholds, and a hundred
#: times those, search them over and over while it is in work, for an eighth of its CPU time.
GC_THRESHOLDS = (2_000_000, 20, 20)
log = logging.getLogger(__name__)


class _NotYet(Exception):
    """Kafka answers, but is not ready for us."""


def run_worker(serving: AbstractAsyncContextManager[LoanrouterApp]) -> None:
    """Run until SIGTERM or SIGINT, then drain and leave the group. Raises what made the application crash.

    `serving` is a context in which the application runs, such as `running(app)`.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(serving))


@asynccontextmanager
async def running(app: LoanrouterApp) -> AsyncIterator[LoanrouterApp]:
    """Run `app` in this event loop; stops it at the end, and raises what made it crash.

    Raises `StoreInUse` at once when another process has its folder, `StoreError` when its local store cannot be used,
    `TopicsError` when a changelog has lost records.
    """
    with app.store.locked():
        identity = await _set_partitions(app)
        await _check_changelogs(app)
        app.store.open(identity)
        app.finalize()
        app.worker_init_post_autodiscover()
        try:
            await app.start()
            yield app
        finally:
            await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason


async def _set_partitions(app: LoanrouterApp) -> Identity:
    """Wait for Kafka and the topics of the agents and their tables; tell each table its changelog's partitions.

    The stream library would create a missing changelog, and do without it when it joins the group before the broker
    shows it. Raises `ValueError` when an agent's topics and its changelog differ in the number of partitions.
    """
    agents = app.batch_agents.values()
    wanted = {topic for agent in agents for topic in (*agent.topics, agent.table.changelog_topic_name)}
    cluster, counts = await _patiently(app.settings, partial(_partition_counts, app, sorted(wanted)))
    changelogs = {}
    for agent in agents:
        changelog = agent.table.changelog_topic_name
        partitions = {topic: counts[topic] for topic in (*agent.topics, changelog)}
        if len(set(partitions.values())) > 1:
            raise ValueError(f"an agent's topics and changelog must have the same number of partitions: {partitions}")
        agent.table.changelog_topic.partitions = changelogs[changelog] = counts[changelog]
    return Identity(cluster, app.conf.id, changelogs)


async def _check_changelogs(app: LoanrouterApp) -> None:
    for agent in app.batch_agents.values():
        table = agent.table
        changelog, partitions = table.changelog_topic_name, table.changelog_topic.partitions or 0
        ask = partial(check_changelog, app.settings, changelog, partitions, agent.topics)
        await _patiently(app.settings, ask)


async def _partition_counts(app: LoanrouterApp, topics: list[str]) -> tuple[str, dict[str, int]]:
    """The cluster's id, and how many partitions each of its topics has; raises `_NotYet` while one is missing."""
    admin = AIOKafkaAdminClient(**app.settings.kafka_client_args())
    try:
        await admin.start()
        described = await admin.describe_topics()  # of all: a broker may create one that is asked for by name
        counts = {topic["topic"]: len(topic["partitions"]) for topic in described}
        missing = [topic for topic in topics if not counts.get(topic)]
        if missing:
            raise _NotYet("topics are missing: " + ", ".join(missing))
        return (await admin.describe_cluster())["cluster_id"] or "", counts
    finally:
        await admin.close()


async def _patiently(settings: Settings, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask Kafka until it answers, and tell now and then why the start waits."""
    waited = 0.0
    while True:
        try:
            return await ask()
        except _NotYet as error:
            problem = str(error)
        except (KafkaError, OSError) as error:
            problem = f"Kafka at {settings.kafka}: {await kafka_problem(settings, error)}"
        if waited % REMIND_SECONDS == 0:
            log.warning("waiting to start; %s", problem)
        await asyncio.sleep(RETRY_SECONDS)
        waited += RETRY_SECONDS


async def _run(serving: AbstractAsyncContextManager[LoanrouterApp]) -> None:
    stop = asked_to_end()
    started = asyncio.Event()
    work = asyncio.create_task(_work(serving, started, stop))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if stop.is_set() and not started.is_set():
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    else:
        await work


async def _work(
    serving: AbstractAsyncContextManager[LoanrouterApp], started: asyncio.Event, stop: asyncio.Event
) -> None:
    async with serving as app:
        started.set()
        ended = asyncio.create_task(app.wait_until_stopped())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        stopped.cancel()
