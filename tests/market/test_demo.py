"""The demo, as a newcomer runs it: its summary is clean, and it leaves no process behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from cli.main import main; main()", "demo", "--json", "--seed", "7"]


def _session_processes(session: int) -> list[str]:
    """Command lines of the processes whose environment names this demo."""
    marker = f"LOANROUTER_TEST_SESSION={session}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and marker in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def _start(*options: str, session: int) -> subprocess.Popen[str]:
    env = os.environ | {"LOANROUTER_TEST_SESSION": str(session)}
    return subprocess.Popen([*COMMAND, *options], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_demo_ends_with_a_clean_summary() -> None:
    """Everything asked for is decided, nothing is overrun, and each bad record has its dead letter."""
    session = os.getpid()
    demo = _start("--seconds", "8", session=session)
    output, errors = demo.communicate(timeout=90)
    assert demo.returncode == 0, errors + output
    summary = json.loads(output)
    assert summary["good"]
    assert summary["decisions"]["routed"] > 20
    assert summary["unaccounted"] == summary["quota_overruns"] == summary["guarantee_overruns"] == 0
    assert summary["dead_letters"] == summary["dead_letters_expected"]
    assert summary["top_funder_share"] < summary["top_funder_share_weighted_random"]
    assert _session_processes(session) == []


def test_ctrl_c_ends_a_demo_and_its_processes() -> None:
    """SIGINT stops worker, broker and Redis, sums up, and ends with 0."""
    session = -os.getpid()
    demo = _start(session=session)
    deadline = time.monotonic() + 20
    assert demo.stderr is not None
    while " 0 decisions" in (line := demo.stderr.readline()) or "decisions" not in line:
        assert time.monotonic() < deadline, "no decision in time"
    assert len(_session_processes(session)) >= 3
    demo.send_signal(signal.SIGINT)
    output, errors = demo.communicate(timeout=60)
    assert demo.returncode == 0, errors + output
    assert json.loads(output)["good"]
    assert _session_processes(session) == []
