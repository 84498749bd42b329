"""Of the last days alone: what happened before only makes borrowers what they are, and what is not known is told."""

import asyncio
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from bench import traffic
from cli.main import main
from rotation.clock import DAY
from rotation.events import millis
from streams.archive import ArchiveWriter, read_archive, read_summary
from streams.log import LogRecord
from streams.topics import create_topics, topic_name
from tests.conftest import Broker
from tests.whatif.traffic import revision, weigh, written
from whatif.history import History, read_shared
from whatif.report import report
from whatif.run import what_if
from whatif.told import Report

SINCE = millis(traffic.START) + 5 * DAY


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 drawdowns of ten days."""
    return written(tmp_path_factory.mktemp("traffic") / "archive", 600)


def asked(records: Iterable[LogRecord], since: int) -> int:
    """How many drawdowns were requested since then."""
    return sum(record.topic == "drawdown-requests" and record.timestamp >= since for record in records)


def told(folder: Path, weight: float, since: int) -> Report:
    """What cf-west with that weight would have brought since then."""
    draft = revision(weigh(2, weight))
    outcome = what_if(folder, draft, since=since)
    return report(outcome, History(read_shared(folder, read_summary(folder)), draft, since))


def test_only_drawdowns_of_the_window_count(archive: Path) -> None:
    """A draft that changes nothing decides as recorded, since the days before are replayed; another one does not."""
    whole, last = told(archive, 2, 0), told(archive, 2, SINCE)

    wanted = asked(read_archive(archive), SINCE)
    assert last.before == last.after
    assert last.before.drawdowns == wanted < whole.before.drawdowns
    assert (last.evidence.moved, last.evidence.unserved, last.evidence.uncovered) == (0, 0, 0)
    assert last.evidence.same + last.evidence.in_flight == wanted
    assert 0 < last.outcomes.loans.before < whole.outcomes.loans.before
    assert last.evidence.older == 0
    assert last.window is not None
    assert last.window.since == "2026-11-07T00:00:00.000Z"
    assert whole.window is None
    other = told(archive, 6, SINCE)
    assert other.before == last.before
    assert other.evidence.moved > 0


def test_what_is_older_than_the_record_is_counted(archive: Path, tmp_path: Path) -> None:
    """Loans that are answered or repaid after the record begins, and were decided before."""
    happened = ("drawdown-requests", "drawdown-outcomes", "repayments", "routing-decisions")
    kept = [each for each in read_archive(archive) if each.topic not in happened or each.timestamp >= SINCE]
    with ArchiveWriter(tmp_path / "cut") as writer:
        for record in kept:
            writer.write(record)
    decided = {json.loads(each.value or b"")["drawdown_id"] for each in kept if each.topic == "routing-decisions"}
    of_loans = {
        json.loads(each.value or b"")["drawdown_id"]
        for each in kept
        if each.topic in ("drawdown-outcomes", "repayments")
    }

    assert told(tmp_path / "cut", 2, SINCE).evidence.older == len(of_loans - decided) > 20


@pytest.fixture
def recent(kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], list[LogRecord]]:
    """The environment of a broker with 300 drawdowns of the last 40 days, and these records."""
    monkeypatch.setattr(traffic, "START", datetime.now(UTC).replace(microsecond=0) - timedelta(days=40))
    settings = kafka.settings("redis://unused", tmp_path)
    records = list(traffic.traffic(revision(), 300, partitions=4, days=40))

    async def publish() -> None:
        await create_topics(settings)
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka, linger_ms=20) as producer:
            for each in records:
                await producer.send(
                    topic_name(settings, each.topic),
                    each.value,
                    each.key,
                    partition=each.partition,
                    timestamp_ms=each.timestamp,
                )

    asyncio.run(publish())
    return settings.environment(), records


def test_kafka_is_read_of_the_last_days_only(recent: tuple[dict[str, str], list[LogRecord]]) -> None:
    """Drawdowns of the last days count, as many days before are read; grants are known from the beginning."""
    env, records = recent
    first, now = asked(records, 0), time.time() * 1000
    done = CliRunner().invoke(main, ["what-if", "active", "--days", "10", "--json"], env=env)

    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    least, most = asked(records, int(now) - 10 * DAY + 120_000), asked(records, int(now) - 10 * DAY)
    assert least <= found["before"]["drawdowns"] <= most < first / 3
    assert found["before"]["served"] > 0.8 * least
    assert found["evidence"]["older"] > 0
    since, known = (datetime.fromisoformat(found["window"][name]) for name in ("since", "known_since"))
    assert since - known == timedelta(days=10)
    words = CliRunner().invoke(main, ["what-if", "active", "--days", "10"], env=env).stdout
    assert "loans and reservations since" in " ".join(words.split())


def test_days_are_of_kafka(archive: Path) -> None:
    """Of an archive everything is known."""
    done = CliRunner().invoke(main, ["what-if", "active", "--days", "10", "--parquet", str(archive)])

    assert (done.exit_code, "--days: only of what is read from Kafka" in done.stderr) == (2, True)
