"""A worker of today says what the golden log recorded, and its own topics replay to what it said."""

import json
from pathlib import Path

from streams.archive import read_archive
from streams.log import LogRecord, read_log
from tests.conftest import Broker
from tests.processes import loanrouter
from tests.replay.logs import decided, records
from tests.replay.record import play


def _place(record: LogRecord) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def test_the_same_story_comes_to_the_same_bytes(kafka: Broker, redis_url: str, tmp_path: Path) -> None:
    """Told again step by step, on either broker; what the command saves from Kafka is a log like any other."""
    settings, log = play("in-order", kafka, redis_url, tmp_path / "data")
    saved = tmp_path / "saved.jsonl"

    from_kafka = loanrouter("replay", "--check", "--json", "--save", str(saved), **settings.environment())
    exported = loanrouter("export", str(tmp_path / "archive"), **settings.environment())
    from_file = loanrouter("replay", str(saved), "--check", "--json", **settings.environment())

    assert decided(log) == decided(records("in-order"))
    assert from_kafka.returncode == 0, from_kafka.stdout + from_kafka.stderr
    assert from_kafka.stdout == from_file.stdout
    assert exported.returncode == 0, exported.stderr
    assert sorted(read_archive(tmp_path / "archive"), key=_place) == sorted(
        read_log(saved.read_bytes().splitlines(), settings), key=_place
    )
    assert json.loads(from_kafka.stdout)["decisions"] >= len(decided(log))
    assert decided(log).items() <= decided(read_log(saved.read_bytes().splitlines(), settings)).items()
