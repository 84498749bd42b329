"""The ledger: whatever crashes, every drawdown has one result, and no funder is overrun.

Two workers serve a market on Apache Kafka. One is killed with -9 and restarted, twice; a third joins and leaves
gracefully, three times, while quotas and guarantee ratios run full. Then all that stands in the topics is judged by the
audit, which shares no code with the core, and decided again by replay.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agents.replay import Log, replay
from config.load import load_file
from config.revisions import first_revision
from config.settings import Settings
from market.audit import Report, audit
from market.drive import Drive
from market.journal import Journal
from market.market import Market
from rotation.outputs import Decision
from rotation.rules import RESERVATION_CODES
from streams.embedded import die_with_parent, free_port
from streams.topics import create_topics
from tests.brokers import ApacheKafka

CONFIG = Path(__file__).parents[2] / "market" / "rotation.yaml"
COMMAND = [sys.executable, "-c", "from cli.main import main; main()"]
EVENTS = 100_000
RATE = 330.0
#: Which worker joins, leaves (SIGTERM) or is killed, one after the other, each after some more answers to the market.
CHAOS = (
    ("join", "third"),
    ("kill", "second"),
    ("join", "second"),
    ("leave", "third"),
    ("join", "third"),
    ("leave", "third"),
    ("kill", "second"),
    ("join", "second"),
    ("join", "third"),
    ("leave", "third"),
)
ANSWERS_BETWEEN = 1_500
#: For a step of the chaos, or for what is to be published.
STEP_SECONDS, RUN_SECONDS = 60, 400
#: Limits that are reached within the run, so that workers race for the last of them.
TIGHT = {
    "quota: {daily_amount: 20000000, daily_count: 60}": "quota: {daily_amount: 600000000, daily_count: 1500}",
    "quota: {daily_amount: 30000000, daily_count: 100}": "quota: {daily_amount: 700000000, daily_count: 100000}",
    "guaranteed: 20970000000": "guaranteed: 20500000000",
}


class Workers:
    """Worker processes by name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}

    def start(self, name: str) -> None:
        """Start one, with a port and a folder of its own. It ends with the thread that calls this."""
        settings = replace(self._settings, web_port=free_port(), data=self._settings.data / name)
        settings.data.mkdir(parents=True, exist_ok=True)
        with (settings.data / "log").open("ab") as log:
            process = subprocess.Popen(
                [*COMMAND, "worker"],
                env=os.environ | settings.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(),
            )
        self._running[name] = process, settings.web_port

    def wait_until_ready(self, name: str) -> None:
        """Return when the worker has joined and is at work."""
        process, _ = self._running[name]
        deadline = time.monotonic() + STEP_SECONDS
        while not self._ready(name):
            assert process.poll() is None, f"worker {name} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"worker {name} did not get ready"
            time.sleep(0.1)

    def leave(self, name: str) -> None:
        """Ask one to end; it drains and ends well."""
        assert self._signal(name, signal.SIGTERM) == 0

    def kill(self, name: str) -> None:
        """Kill one."""
        assert self._signal(name, signal.SIGKILL) == -signal.SIGKILL

    def stop(self) -> None:
        """End all that run."""
        for name in list(self._running):
            self.leave(name)

    def _ready(self, name: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._running[name][1]}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def _signal(self, name: str, number: signal.Signals) -> int:
        process, _ = self._running.pop(name)
        assert process.poll() is None, f"worker {name} had ended with {process.returncode} before"
        process.send_signal(number)
        return process.wait(STEP_SECONDS)


async def _chaos(workers: Workers, journal: Journal) -> None:
    for action, name in CHAOS:
        await _until(journal.statuses.total, journal.statuses.total() + ANSWERS_BETWEEN, STEP_SECONDS)
        match action:
            case "join":
                workers.start(name)
                await asyncio.to_thread(workers.wait_until_ready, name)
            case "leave":
                await asyncio.to_thread(workers.leave, name)
            case "kill":
                await asyncio.to_thread(workers.kill, name)
    await _until(lambda: journal.published, EVENTS, RUN_SECONDS)


async def _until(count: Callable[[], int], enough: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while count() < enough:  # noqa: ASYNC110  # it is counted by records, not by us
            await asyncio.sleep(0.05)


async def _run(settings: Settings, market: Callable[[int], Market], workers: Workers, journal: Journal) -> int:
    until = asyncio.Event()
    driving = asyncio.create_task(Drive(settings, journal, hold_out=True).run(market, until))
    try:
        await _chaos(workers, journal)
    finally:
        until.set()
        ended_at = await driving
    return ended_at


def _tightened(text: str) -> str:
    for wide, tight in TIGHT.items():
        assert text.count(wide) == 1, f"the market's configuration has changed: {wide}"
        text = text.replace(wide, tight)
    return text


def _codes(value: bytes) -> Iterator[str]:
    for codes in msgspec.json.decode(value, type=Decision).excluded.values():
        yield from codes


@pytest.mark.apache
@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_overrun(apache_kafka: ApacheKafka, redis_url: str, tmp_path: Path) -> None:
    """After two kills and three graceful joins and leaves the books balance."""
    config = tmp_path / "rotation.yaml"
    config.write_text(_tightened(CONFIG.read_text()))
    settings = Settings(
        kafka=apache_kafka.bootstrap,
        redis=redis_url,
        config=config,
        topic_prefix=f"ledger{os.getpid()}.",
        web_port=free_port(),
        data=tmp_path,
        session_timeout_seconds=6,
    )
    asyncio.run(create_topics(settings))
    revision = first_revision(load_file(config))
    journal = Journal()
    workers = Workers(settings)
    try:
        for name in ("first", "second"):
            workers.start(name)
            workers.wait_until_ready(name)
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
    assert report.inputs == journal.published >= EVENTS
    assert report.dead_letters_seen == report.dead_letters_expected
    assert report.still_held == 0
    log = Log(journal.records, revision)
    recorded = log.recorded()
    assert {code for value in recorded.values() for code in _codes(value)} >= RESERVATION_CODES.keys()
    assert dict(replay(settings, log)) == recorded
