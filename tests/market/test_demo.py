"""The demo, as a newcomer runs it: its summary is clean, it shows what happens, and it leaves no process behind."""

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.embedded import EmbeddedKafka
from tests.console.visitor import Visitor
from tests.processes import until

COMMAND = [sys.executable, "-c", "from cli.main import main; main()", "demo", "--seed", "7"]
#: Until the first decision; long, since a loaded machine starts slowly. Seconds.
START_WITHIN = 90
SIZE = (100, 30)
#: What a terminal is told to show its other screen, and to come back.
ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"


class Process(NamedTuple):
    """A process, told apart by its start from a later one with the same id; what it was started from; its command."""

    number: int
    started: str
    parent: int
    command: str


def _processes() -> list[Process]:
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and (command := (folder / "cmdline").read_bytes()):
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                words = command.replace(b"\0", b" ").decode(errors="replace")
                found.append(Process(int(folder.name), stat[19], int(stat[1]), words))
    return found


def _family(parent: int) -> set[Process]:
    """The process and all that it started, and they."""
    every = _processes()
    family = {process for process in every if process.number == parent}
    while more := {p for p in every if p.parent in {member.number for member in family}} - family:
        family |= more
    return family


@pytest.fixture
def started() -> Iterator[set[Process]]:
    """Processes that a test has seen start; what is left of them is ended, even when the test fails."""
    started: set[Process] = set()
    yield started
    for process in started.intersection(_processes()):
        os.kill(process.number, signal.SIGKILL)


def _start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _until_it_decides(demo: subprocess.Popen[str]) -> None:
    assert demo.stderr is not None
    deadline = time.monotonic() + START_WITHIN
    while not re.search(r"[1-9]\d* decisions", demo.stderr.readline()):
        assert demo.poll() is None
        assert time.monotonic() < deadline, "no decision in time"


def _assert_whole(family: set[Process]) -> None:
    commands = " ".join(process.command for process in family)
    assert all(name in commands for name in ("worker", "tansu", "valkey"))


def _summary(demo: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = demo.communicate(timeout=120)
    assert demo.returncode == 0, errors + output
    summary: dict[str, Any] = json.loads(output)
    return summary


def test_a_demo_ends_with_a_clean_summary(started: set[Process]) -> None:
    """Everything asked for is decided, nothing is overrun, each bad record has its dead letter, and funders rotate."""
    demo = _start("--json", "--seconds", "20")
    _until_it_decides(demo)
    started |= _family(demo.pid)
    _assert_whole(started)
    summary = _summary(demo)
    assert summary["good"]
    assert summary["seed"] == 7
    assert summary["decisions"]["routed"] > 20
    assert sum(summary["decisions"].values()) >= summary["drawdowns"] > 20
    assert summary["published"] > summary["drawdowns"] + sum(summary["dead_letters"].values())
    assert summary["unaccounted"] == summary["two_funders"] == 0
    assert summary["quota_overruns"] == summary["guarantee_overruns"] == 0
    assert summary["other_violations"] == {}
    assert summary["examples"] == []
    assert summary["dead_letters"] == summary["dead_letters_expected"] != {}
    assert 0 < summary["top_funder_share"] < summary["top_funder_share_weighted_random"] <= 1
    assert 0 < summary["latency_p50"] <= summary["latency_p99"]
    assert summary["first_decision_seconds"] > 0
    assert started.isdisjoint(_processes())


def test_the_console_is_open_while_it_plays(
    started: set[Process], embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address and a password are told; who logs in sees the funders and may do what the name says. It ends too.

    On a Kafka that was given: none is started, and the names of the topics that stay there are told.
    """
    monkeypatch.setenv("LOANROUTER_KAFKA_IDEMPOTENCE", "off")
    demo = _start("--json", "--kafka", embedded_kafka.bootstrap)
    assert demo.stderr is not None
    assert demo.stderr.readline() == "starting Redis\n"
    prefix = demo.stderr.readline().split()[-1]
    deadline = time.monotonic() + START_WITHIN
    while not (told := re.search(r"console: (http://\S+)/ as (\w+), password (\w+)", demo.stderr.readline())):
        assert demo.poll() is None
        assert time.monotonic() < deadline, "no console in time"
    started |= _family(demo.pid)
    assert "console" in " ".join(process.command for process in started)
    visitor = Visitor(told[1])
    until(lambda: _answers(visitor), 60)
    assert "tansu" not in " ".join(process.command for process in started)
    assert visitor.log_in(told[2], told[3]).status == 303
    assert "bank-jiangnan" in visitor.get("/").text
    assert "/funders/bank-jiangnan/pause" in visitor.get("/funders/bank-jiangnan").text
    demo.send_signal(signal.SIGINT)
    summary = _summary(demo)
    assert summary["good"]
    assert summary["topic_prefix"] == prefix != ""
    assert f"{prefix}routing-decisions" in asyncio.run(_topics(embedded_kafka))
    assert started.isdisjoint(_processes())


async def _topics(kafka: EmbeddedKafka) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


def _answers(visitor: Visitor) -> bool:
    with suppress(OSError):
        return visitor.get("/login").status == 200
    return False


def test_sigint_ends_a_demo_and_its_processes(started: set[Process], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an end given it plays until SIGINT, which stops worker, broker and Redis, sums up, and ends with 0.

    Also with a prefix before its topics.
    """
    monkeypatch.setenv("LOANROUTER_TOPIC_PREFIX", "demo.")
    demo = _start("--json")
    _until_it_decides(demo)
    started |= _family(demo.pid)
    _assert_whole(started)
    demo.send_signal(signal.SIGINT)
    assert _summary(demo)["good"]
    assert started.isdisjoint(_processes())


def test_ctrl_c_while_it_starts_leaves_nothing(started: set[Process]) -> None:
    """Ctrl-C before the first borrower ends with 1 and no summary, since there is nothing to sum up."""
    demo = _start("--json")
    assert demo.stderr is not None
    assert demo.stderr.readline()
    while "starting a worker" not in demo.stderr.readline():
        assert demo.poll() is None
    started |= _family(demo.pid)
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert (demo.returncode, output) == (1, "")
    assert started.isdisjoint(_processes())


def test_ctrl_c_in_a_terminal_ends_the_live_view_with_the_summary(started: set[Process]) -> None:
    """The view shows decisions; Ctrl-C gives the terminal back, with the summary in it and no process left."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    demo = subprocess.Popen(
        COMMAND,
        env=os.environ | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is SIGINT for it
    )
    os.close(theirs)
    try:
        shown = _read_until(terminal, rb"[1-9]\d* routed", START_WITHIN)
        started |= _family(demo.pid)
        _assert_whole(started)
        assert ENTERED in shown
        for text in ("Borrowers", "Funders", "bank-jiangnan", "Ctrl-C ends and sums up"):
            assert text.encode() in shown
        os.write(terminal, b"\x03")
        rest = _read_until(terminal, None, 90)
    finally:
        os.close(terminal)
    after = rest.rpartition(LEFT)[2].decode()
    assert "All is well" in after.splitlines()[-1]
    assert "quota overruns         0" in after
    assert demo.wait(60) == 0
    assert started.isdisjoint(_processes())


def _read_until(terminal: int, pattern: bytes | None, seconds: float) -> bytes:
    """What the terminal shows until the pattern matches; until its end when there is none."""
    shown = b""
    deadline = time.monotonic() + seconds
    while pattern is None or not re.search(pattern, shown):
        assert time.monotonic() < deadline, f"not shown in time: {pattern!r}; the last was {shown[-2000:]!r}"
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux tells so that the other side is gone
            part = b""
        if not part:
            assert pattern is None, f"ended without {pattern!r}: {shown[-2000:]!r}"
            break
        shown += part
    return shown
