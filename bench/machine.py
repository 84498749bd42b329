"""The machine that figures come from."""

import os
import platform
import time
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    """Where and when it was measured. `load` is the load average of the minute before: above 1 others were at work."""

    cpus: int
    processor: str
    python: str
    load: float
    measured_on: str


def this_machine() -> Machine:
    """The machine as it is now."""
    return Machine(
        cpus=os.cpu_count() or 1,
        processor=_processor(),
        python=platform.python_version(),
        load=os.getloadavg()[0],
        measured_on=time.strftime("%Y-%m-%d"),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
