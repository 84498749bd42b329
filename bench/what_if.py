"""`what-if`: how long a what-if of a month's drawdowns takes, and how much memory.

The draft leaves a borrower's last two funders out where the record left out one: so the two replays of a borrower soon
stand apart, and nearly every drawdown is decided twice, which is the dearest case.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import yaml

from bench.child import EngineFailed, session_usage
from bench.machine import Machine, this_machine
from bench.traffic import document_of, write

_POLL_SECONDS = 0.5
_COMMAND = (sys.executable, "-c", "from cli.main import main; main()", "what-if")


class WhatIf(msgspec.Struct, frozen=True):
    """One run of `loanrouter what-if` on an archive. Seconds, bytes; CPU and memory are of all its processes."""

    machine: Machine
    drawdowns: int
    archive: int
    seconds: float
    cpu_seconds: float
    peak_memory: int


def measure(drawdowns: int) -> WhatIf:
    """Record so many drawdowns and ask what a draft would have made of them; raises `EngineFailed`."""
    with tempfile.TemporaryDirectory(prefix="loanrouter-bench-") as name:
        folder, draft = Path(name, "archive"), Path(name, "draft.yaml")
        document = document_of(Path("market/rotation.yaml"))
        write(folder, document, drawdowns)
        document["rotation"]["never_last"]["n"] += 1
        draft.write_text(yaml.safe_dump(document))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        machine, before, began, peak = this_machine(), _cpu(), time.monotonic(), 0
        command = (*_COMMAND, str(draft), "--parquet", str(folder), "--json")
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        ) as run:
            while run.poll() is None:
                peak = max(peak, session_usage(run.pid).peak_memory)
                time.sleep(_POLL_SECONDS)
            seconds = time.monotonic() - began
            if run.returncode:
                raise EngineFailed(f"ended with {run.returncode}: {run.stderr.read().decode() if run.stderr else ''}")
        return WhatIf(machine, drawdowns, size, seconds, _cpu() - before, peak)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
