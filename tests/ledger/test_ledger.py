"""The ledger: whatever crashes, every drawdown has one result, and no funder is overrun.

Two workers serve a market on Apache Kafka. One is killed with -9 and restarted, twice; a third joins and leaves
gracefully, three times, while quotas and guarantee ratios run full. Then all that stands in the topics is judged by the
audit, which shares no code with the core, and decided again by replay.
"""

import asyncio
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from agents.recorded import Log
from agents.replay import replay
from config.load import load_file
from config.revisions import first_revision
from config.rotation import Revision, RotationConfig
from config.settings import Settings
from market.audit import Report
from market.drive import Drive
from market.journal import Journal
from market.market import Market
from rotation.outputs import Decision
from rotation.rules import RESERVATION_CODES
from streams.embedded import free_port
from streams.topics import create_topics
from tests.brokers import ApacheKafka
from tests.ledger.judge import judge
from tests.processes import COMMAND, Workers

CONFIG = Path(__file__).parents[2] / "market" / "rotation.yaml"
WORKER = [COMMAND, "worker"]
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
#: For a step of the chaos, and for all of a run.
STEP_SECONDS, RUN_SECONDS = 120, 500
#: Limits that are reached within the run, so that workers race for the last of them.
TIGHT = {
    "quota: {daily_amount: 20000000, daily_count: 60}": "quota: {daily_amount: 600000000, daily_count: 1500}",
    "quota: {daily_amount: 30000000, daily_count: 100}": "quota: {daily_amount: 700000000, daily_count: 100000}",
    "guaranteed: 20970000000": "guaranteed: 20900000000",
}


class Run(NamedTuple):
    """How much is published, and at what rate: events in all, drawdowns a second, answers between two steps."""

    events: int
    rate: float
    answers_between: int


class Books(NamedTuple):
    """What a run left behind."""

    settings: Settings
    revision: Revision
    journal: Journal
    report: Report


async def _chaos(workers: Workers, journal: Journal, run: Run) -> None:
    for action, name in CHAOS:
        await _until(journal.statuses.total, journal.statuses.total() + run.answers_between, STEP_SECONDS)
        match action:
            case "join":
                workers.start(name)  # in this thread: a worker ends with the thread that started it
                await asyncio.to_thread(workers.wait_ready, name)
            case "leave":
                await asyncio.to_thread(workers.signal, name, signal.SIGTERM)
            case "kill":
                await asyncio.to_thread(workers.signal, name, signal.SIGKILL)
    await _until(lambda: journal.published, run.events, RUN_SECONDS)


async def _until(count: Callable[[], int], enough: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while count() < enough:  # noqa: ASYNC110  # it is counted by records, not by us
            await asyncio.sleep(0.05)


async def _drive(settings: Settings, config: RotationConfig, workers: Workers, journal: Journal, run: Run) -> int:
    market = partial(_market, config, run.rate)
    until = asyncio.Event()
    driving = asyncio.create_task(Drive(settings, journal, hold_out=True).run(market, until))
    try:
        await _chaos(workers, journal, run)
    finally:
        until.set()
        ended_at = await driving
    return ended_at


def _market(config: RotationConfig, rate: float, start: int) -> Market:
    return Market(config, seed=11, rate=rate, start=start)


def _books(kafka: ApacheKafka, redis_url: str, folder: Path, run: Run, command: Sequence[str] = WORKER) -> Books:
    """Let workers serve a market through the chaos, and audit what stands in the topics then."""
    config = folder / "rotation.yaml"
    config.write_text(_tightened(CONFIG.read_text()))
    settings = Settings(
        kafka=kafka.bootstrap,
        redis=redis_url,
        config=config,
        topic_prefix=f"ledger-{uuid.uuid4().hex[:8]}.",
        web_port=free_port(),
        data=folder,
        session_timeout_seconds=6,
    )
    asyncio.run(create_topics(settings))
    revision = first_revision(load_file(config))
    journal = Journal()
    with Workers(settings, command) as workers:
        for name in ("first", "second"):
            workers.start(name)
        workers.wait_ready("first", "second")
        ended_at = asyncio.run(_drive(settings, revision.config, workers, journal, run))
        workers.stop()
    report = judge(journal, [revision], ended_at=ended_at, prefix=settings.topic_prefix)
    return Books(settings, revision, journal, report)


def _tightened(text: str) -> str:
    for wide, tight in TIGHT.items():
        assert text.count(wide) == 1, f"the market's configuration has changed: {wide}"
        text = text.replace(wide, tight)
    return text


def _codes(value: bytes) -> Iterator[str]:
    for codes in msgspec.json.decode(value, type=Decision).excluded.values():
        yield from codes


@pytest.mark.apache
@pytest.mark.timeout(900)
def test_nothing_is_lost_doubled_or_overrun(apache_kafka: ApacheKafka, redis_url: str, tmp_path: Path) -> None:
    """After two kills and three graceful joins and leaves the books balance, and replay gives the same bytes."""
    run = Run(events=100_000, rate=330, answers_between=1_500)

    settings, revision, journal, report = _books(apache_kafka, redis_url, tmp_path, run)

    kinds = sorted({violation.kind for violation in report.violations})
    assert not report.violations, (kinds, report.violations[:10])
    assert report.inputs == journal.published >= run.events
    assert report.dead_letters_seen == report.dead_letters_expected
    assert report.still_held == 0
    log = Log(journal.records, revision)
    recorded = log.recorded()
    assert {code for value in recorded.values() for code in _codes(value)} >= RESERVATION_CODES.keys()
    assert dict(replay(settings, log)) == recorded


@pytest.mark.apache
@pytest.mark.timeout(900)
def test_the_stock_library_fails_the_same_run(apache_kafka: ApacheKafka, redis_url: str, tmp_path: Path) -> None:
    """Control: with the same core on the stock library drawdowns or dead letters are lost, or decided differently."""
    run = Run(events=20_000, rate=80, answers_between=400)

    report = _books(apache_kafka, redis_url, tmp_path, run, [sys.executable, "-m", "tests.ledger.stock"]).report

    lost = [violation for violation in report.violations if violation.detail == "no decision"]
    assert lost or report.count("dead_letter_missing", "repeat_differs", "two_funders", "two_terminals")
