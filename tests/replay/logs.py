"""The golden logs, and what a replay says of them or of logs made from them.

`in-order` and `out-of-order` are stories told to a worker on the stream clock, `market` is a market on the wall
clock (`tests/replay/record.py`). `tampered` is the story of one borrower with a number in a decision changed.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from agents.recorded import Log
from agents.replay import replay
from config.settings import Settings
from streams.log import LogRecord, log_line, read_log

GOLDEN = Path(__file__).parent / "golden"
LOGS = ("in-order", "out-of-order", "market")
DECISIONS = "routing-decisions"


def path(name: str) -> Path:
    """Where a golden log lies."""
    return GOLDEN / f"{name}.jsonl"


def records(name: str) -> list[LogRecord]:
    """A golden log."""
    return list(read_log(path(name).read_bytes().splitlines(), Settings()))


def decided(log: Iterable[LogRecord]) -> dict[str, bytes]:
    """The recorded decisions of a log by their id."""
    values = [record.value or b"" for record in log if record.topic == DECISIONS]
    return {json.loads(value)["decision_id"]: value for value in values}


def replayed(log: Iterable[LogRecord]) -> dict[str, bytes]:
    """What a replay of a log says."""
    return dict(replay(Settings(), Log(log, None)))


def inputs_only(log: Iterable[LogRecord]) -> list[LogRecord]:
    """A log as it was before any worker read it."""
    return [record for record in log if record.topic not in (DECISIONS, "dead-letters")]


def lines(log: Iterable[LogRecord]) -> bytes:
    """A log as a file holds it."""
    return b"".join(map(log_line, log))
