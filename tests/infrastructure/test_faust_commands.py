"""The worker is a genuine Faust application: Faust's own commands know it."""

import subprocess
import sys
from pathlib import Path


def faust(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """One of Faust's commands on our application."""
    command = [str(Path(sys.executable).with_name("faust")), "-A", "agents.app", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_tables_are_listed() -> None:
    """Those of both agents."""
    done = faust("tables")
    assert done.returncode == 0, done.stderr
    assert {"borrowers", "funders"} <= set(done.stdout.replace("|", " ").split())


def test_agents_are_listed() -> None:
    """Both, with all that they read."""
    done = faust("agents")
    assert done.returncode == 0, done.stderr
    assert "credit-grants, drawdown-requests, drawdown-outcomes, repayments" in done.stdout
    assert "funder-outcomes, capture-signals" in done.stdout
