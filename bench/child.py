"""An engine's process: started in a session of its own, measured with all its descendants by what /proc says."""

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from streams.embedded import die_with_parent

_TICK = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 30
_REPOSITORY = Path(__file__).parents[1]
_LAST_BYTES = 2000


class EngineFailed(Exception):
    """An engine ended before it should have, or did not do in time what was asked."""


class Child:
    """One running engine. `log` is the file that takes what it prints."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=_REPOSITORY,
                env={"PYTHONPATH": str(_REPOSITORY), **os.environ, **env},
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)
        self._process.wait()

    @property
    def pid(self) -> int:
        """Process id, which is also that of its session."""
        return self._process.pid

    def check(self) -> None:
        """Raise `EngineFailed` when it has ended."""
        if self._process.poll() is not None:
            raise EngineFailed(f"ended with {self._process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(errors="replace")[-_LAST_BYTES:]

    def freeze(self) -> None:
        """SIGSTOP to all of it, so that input can be laid out without it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, as an operator would; killed if that takes longer than 30 seconds."""
        self.check()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def usage(self) -> "Usage":
        """What it has used so far."""
        return session_usage(self.pid)

    def _signal(self, number: signal.Signals) -> None:
        for process in _processes(self.pid):
            os.kill(process.pid, number)


class Usage(NamedTuple):
    """CPU seconds (user and system), resident memory and its peak (bytes), with descendants."""

    cpu: float
    resident: int
    peak_memory: int

    @classmethod
    def of_all(cls, used: Iterable["Usage"]) -> "Usage":
        """The sum."""
        parts = list(used)
        return cls(sum(p.cpu for p in parts), sum(p.resident for p in parts), sum(p.peak_memory for p in parts))


def session_usage(session: int) -> Usage:
    """Usage of all processes of a session that run, and of the children they have waited for."""
    return Usage.of_all(Usage(process.cpu, *_memory(process.pid)) for process in _processes(session))


class _Process(NamedTuple):
    pid: int
    cpu: float


def _processes(session: int) -> Iterator[_Process]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The second field, the name in parentheses, may hold spaces.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[3]) == session:
            yield _Process(int(folder.name), sum(map(int, fields[11:15])) / _TICK)


def _memory(pid: int) -> tuple[int, int]:
    """Resident memory and its peak."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in status.splitlines())
    resident, peak = (int(fields.get(name, "0 kB").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return resident, peak
