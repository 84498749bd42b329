"""loanrouter's processes as an operator has them: workers that run on, commands that end, and what they show."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from config.settings import Settings
from streams.embedded import LOOPBACK, die_with_parent, free_port

T = TypeVar("T")

COMMAND = str(Path(sys.executable).with_name("loanrouter"))


def loanrouter(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a user does; `env` is added to the environment."""
    return subprocess.run(
        [COMMAND, *arguments], env=os.environ | env, capture_output=True, text=True, timeout=90, check=False
    )


@contextmanager
def running(*arguments: str, **env: str) -> "Iterator[subprocess.Popen[str]]":
    """A command that goes on until it is told to end, with pipes for what it prints; killed if it still runs."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [COMMAND, *arguments],
        env=os.environ | env,
        stdout=pipe,
        stderr=pipe,
        text=True,
        preexec_fn=die_with_parent(),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def until(condition: Callable[[], T], seconds: float = 30) -> T:
    """Wait until the condition gives something true, and return that; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)
    return found


def listening_addresses(pid: int) -> set[str]:
    """Hexadecimal local addresses on which the process listens; loopback is `0100007F`."""
    sockets = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].split(":")[0])
    return found


class Page(NamedTuple):
    """What a worker's web address answers; status 0 when nobody does."""

    status: int
    text: str


def _named(sample: str) -> tuple[str, set[str]]:
    """A sample's name, and its labels as they are written."""
    name, _, labels = sample.partition("{")
    return name, set(re.findall(r'\w+="[^"]*"', labels))


class _Worker(NamedTuple):
    process: "subprocess.Popen[bytes]"
    settings: Settings


class Workers:
    """Worker processes by name; those that still run at the end of its context are killed."""

    def __init__(self, settings: Settings, command: Sequence[str] = (COMMAND, "worker")) -> None:
        self._settings = settings
        self._command = command
        self._running: dict[str, _Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, _ in self._running.values():
            process.kill()
            process.wait()

    def start(self, name: str, port: int | None = None) -> None:
        """Start one, with a folder of its own and this port, or one of its own."""
        settings = replace(self._settings, web_port=port or free_port(), data=self.data(name))
        settings.data.mkdir(parents=True, exist_ok=True)
        with (settings.data / "log").open("ab") as log:
            process = subprocess.Popen(
                self._command,
                env=os.environ | settings.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(),
            )
        self._running[name] = _Worker(process, settings)

    def pid(self, name: str) -> int:
        """The process id of one that runs."""
        process, _ = self._running[name]
        assert process.poll() is None, f"worker {name} has ended with {process.returncode}"
        return process.pid

    def data(self, name: str) -> Path:
        """The folder of one, running or not."""
        return self._settings.data / name

    def port(self, name: str) -> int:
        """Where one serves its pages."""
        return self._running[name].settings.web_port

    def page(self, name: str, path: str) -> Page:
        """What one answers to a GET of `path`."""
        try:
            url = f"http://{LOOPBACK}:{self.port(name)}{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:  # a worker of ours
                return Page(answer.status, answer.read().decode())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Page(refusal.code, refusal.read().decode())
        except OSError:
            return Page(0, "")

    def log(self, name: str) -> bytes:
        """What one has logged; for waiting only, no test looks into it."""
        return (self._running[name].settings.data / "log").read_bytes()

    def metric(self, name: str, sample: str) -> float:
        """The sum of a worker's samples with this name and at least these labels, written as on `/metrics`."""
        return sum(self.samples(name, sample).values())

    def samples(self, name: str, sample: str) -> dict[str, float]:
        """Those samples, by their full names with labels; empty when there are none."""
        wanted, labels = _named(sample)
        found = {}
        for line in self.page(name, "/metrics").text.splitlines():
            full, _, value = line.rpartition(" ")
            if full.startswith(wanted) and _named(full)[0] == wanted and labels <= _named(full)[1]:
                found[full] = float(value)
        return found

    def reasons(self, name: str) -> list[str]:
        """Why a worker that serves `/readyz` says that it is not ready."""
        reasons: list[str] = json.loads(self.page(name, "/readyz").text or "{}").get("reasons", [])
        return reasons

    def wait_ready(self, *names: str) -> None:
        """Wait until `/readyz` of each of them answers 200."""
        for name in names:
            until(lambda name=name: self.pid(name) and self.page(name, "/readyz").status == 200, 60)  # type: ignore[misc]

    def signal(self, name: str, number: signal.Signals) -> None:
        """End one by a signal; it must have lived until then, and end as the signal asks."""
        process, _ = self._running[name]
        assert process.poll() is None, f"worker {name} had ended with {process.returncode} before"
        process.send_signal(number)
        assert process.wait(30) == (0 if number == signal.SIGTERM else -number)
        del self._running[name]

    def ended(self) -> dict[str, int]:
        """The exit codes of those that have ended without being told to; tells each once."""
        codes = {name: code for name, (process, _) in self._running.items() if (code := process.poll()) is not None}
        for name in codes:
            del self._running[name]
        return codes

    def stop(self) -> None:
        """End all that run, gracefully."""
        for name in list(self._running):
            self.signal(name, signal.SIGTERM)
