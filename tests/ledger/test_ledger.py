"""The ledger: whatever crashes, every drawdown has one result, and no funder is overrun.

Two workers serve a market on Apache Kafka. One is killed with -9 and restarted, twice; a third joins and leaves
gracefully, three times. Then all that stands in the topics is judged by the audit, which shares no code with the core.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from config.load import load_file
from config.revisions import first_revision
from config.settings import Settings
from market.audit import Report, audit
from market.drive import Drive
from market.journal import Journal
from market.market import Market
from streams.embedded import die_with_parent, free_port
from streams.topics import create_topics, topic_name
from tests.brokers import ApacheKafka

CONFIG = Path(__file__).parents[2] / "market" / "rotation.yaml"
COMMAND = [sys.executable, "-c", "from cli.main import main; main()"]
RATE = 100.0
SECONDS = 75.0
#: When (s) which worker gets which signal, or is started (None).
CHAOS: tuple[tuple[float, str, signal.Signals | None], ...] = (
    (12, "third", None),
    (20, "second", signal.SIGKILL),
    (22, "second", None),
    (30, "third", signal.SIGTERM),
    (36, "third", None),
    (42, "third", signal.SIGTERM),
    (46, "second", signal.SIGKILL),
    (48, "second", None),
    (54, "third", None),
    (62, "third", signal.SIGTERM),
)


class Workers:
    """Worker processes by name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one, with a port and a folder of its own."""
        settings = replace(self._settings, web_port=free_port(), data=self._settings.data / name)
        settings.data.mkdir(parents=True, exist_ok=True)
        with (settings.data / "log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*COMMAND, "worker"],
                env=os.environ | settings.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(),
            )

    def signal(self, name: str, number: signal.Signals) -> None:
        """End one by a signal; it must have lived until then, and end as the signal asks."""
        process = self._running.pop(name)
        assert process.poll() is None, f"worker {name} had ended with {process.returncode} before"
        process.send_signal(number)
        assert process.wait(30) == (0 if number == signal.SIGTERM else -number)

    def stop(self) -> None:
        """End all that run, gracefully."""
        for name in list(self._running):
            self.signal(name, signal.SIGTERM)


async def _chaos(workers: Workers) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for at, name, number in CHAOS:
        await asyncio.sleep(began + at - loop.time())
        if number is None:
            workers.start(name)
        else:
            await asyncio.to_thread(workers.signal, name, number)
    await asyncio.sleep(began + SECONDS - loop.time())


async def _run(settings: Settings, market: Callable[[int], Market], workers: Workers, journal: Journal) -> int:
    until = asyncio.Event()
    driving = asyncio.create_task(Drive(settings, journal).run(market, until))
    try:
        await _chaos(workers)
    finally:
        until.set()
    return await driving


async def _first_decision(settings: Settings) -> None:
    """Wait until the workers are in their group, so that the chaos falls into their work."""
    consumer = AIOKafkaConsumer(topic_name(settings, "rotation-config"), bootstrap_servers=settings.kafka)
    async with consumer:
        await consumer.seek_to_beginning()
        await asyncio.wait_for(consumer.getone(), 60)


@pytest.mark.apache
@pytest.mark.timeout(400)
def test_nothing_is_lost_doubled_or_overrun(apache_kafka: ApacheKafka, redis_url: str, tmp_path: Path) -> None:
    """After two kills and three graceful joins and leaves the books balance."""
    settings = Settings(
        kafka=apache_kafka.bootstrap,
        redis=redis_url,
        config=CONFIG,
        topic_prefix=f"ledger{os.getpid()}.",
        web_port=free_port(),
        data=tmp_path,
        session_timeout_seconds=6,
    )
    asyncio.run(create_topics(settings))
    revision = first_revision(load_file(CONFIG))
    journal = Journal()
    workers = Workers(settings)
    workers.start("first")
    workers.start("second")
    try:
        asyncio.run(_first_decision(settings))
        market = lambda start: Market(revision.config, seed=11, rate=RATE, start=start)  # noqa: E731
        ended_at = asyncio.run(_run(settings, market, workers, journal))
    finally:
        workers.stop()
    report: Report = audit(
        journal.records,
        [revision],
        ended_at=ended_at,
        prefix=settings.topic_prefix,
        slack_ms=20_000,
        crashed=True,
    )
    kinds = sorted({violation.kind for violation in report.violations})
    assert not report.violations, (kinds, report.violations[:10])
    assert report.inputs == journal.published
    assert report.decisions["routed"] > RATE * SECONDS / 4
    assert report.dead_letters_seen == report.dead_letters_expected
