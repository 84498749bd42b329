"""What-ifs of drafts: each is `loanrouter what-if` in a process; its result is kept for the draft's content."""

import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from config.lifecycle import Draft
from config.settings import Settings
from config.written import yaml_text
from console.keys import TextRedis, key
from streams.embedded import die_with_parent
from whatif.told import Report

log = logging.getLogger("loanrouter.console")

AT_ONCE: Final = 1
_KEPT_SECONDS: Final = 90 * 86_400
_COMMAND: Final = (sys.executable, "-c", "from cli.main import main; main()", "what-if")
_ERROR_LINES: Final = 20


class TrialError(Exception):
    """No what-if was started; the message is for a person."""


class Trial(msgspec.Struct, frozen=True):
    """What came of a what-if that `author` ran: a report with its plots (words and SVG), or why there is none."""

    author: str
    report: Report | None = None
    plots: list[tuple[str, str]] = []
    error: str = ""


class Running:
    """A what-if on its way: what it does now, and how much of that is done."""

    def __init__(self) -> None:
        self.step = ""
        self.done = 0
        self.total = 0
        self.task: asyncio.Task[None] | None = None


class Trials:
    """The what-ifs of one console, by the `config_sha256` of what they try."""

    def __init__(self, redis: TextRedis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._running: dict[str, Running] = {}
        self._folders = settings.data / "what-ifs"

    def clean(self) -> None:
        """Remove what what-ifs of consoles that were killed have left behind: it holds customers' data."""
        for folder in self._folders.glob("*"):
            if folder.name == str(os.getpid()) or not _is_running(folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def from_kafka(self) -> bool:
        """Whether they read Kafka, for want of an archive: then of so many days only."""
        return self._settings.console_recorded is None

    def start(self, draft: Draft, author: str, days: int) -> None:
        """Run the what-if of a draft in the background; raises `TrialError` when it or enough others run.

        `days` are those whose drawdowns are read from Kafka.
        """
        sha256 = draft.revision.sha256
        if len(self._running) >= AT_ONCE:
            raise TrialError("Another what-if is running: wait for its end, or cancel it.")
        running = self._running[sha256] = Running()
        running.task = asyncio.create_task(self._run(running, draft, author, days))
        log.info("what-if of draft %s (%s) started by %s", draft.id, sha256, author)

    def running(self, sha256: str) -> Running | None:
        """The one on its way."""
        return self._running.get(sha256)

    async def cancel(self, sha256: str, author: str) -> None:
        """End the one on its way, if there is one: nothing is kept of it."""
        running = self._running.get(sha256)
        if running is not None and running.task is not None:
            running.task.cancel()
            await asyncio.wait([running.task])
            log.info("what-if of %s cancelled by %s", sha256, author)

    async def result(self, sha256: str) -> Trial | None:
        """What came of the last one."""
        kept = await self._redis.get(self._key(sha256))
        return None if kept is None else msgspec.json.decode(kept, type=Trial)

    async def stop(self) -> None:
        """Cancel all."""
        for sha256 in list(self._running):
            await self.cancel(sha256, "the end of the console")

    def _key(self, sha256: str) -> str:
        return key(self._settings, "what-if", sha256)

    async def _run(self, running: Running, draft: Draft, author: str, days: int) -> None:
        sha256 = draft.revision.sha256
        try:
            mine = self._folders / str(os.getpid())
            mine.mkdir(parents=True, exist_ok=True, mode=0o700)
            # All that the process leaves behind, customers' data among it, goes with this folder.
            with tempfile.TemporaryDirectory(dir=mine, ignore_cleanup_errors=True) as folder:
                trial = await self._ask(running, _write(Path(folder), draft), author, days)
            await self._redis.set(self._key(sha256), msgspec.json.encode(trial), ex=_KEPT_SECONDS)
        except Exception:
            log.exception("what-if of %s failed", sha256)
        finally:
            del self._running[sha256]

    async def _ask(self, running: Running, draft: Path, author: str, days: int) -> Trial:
        recorded = self._settings.console_recorded
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            *(draft, "--progress-lines", "--json"),
            *(("--days", str(days)) if recorded is None else ("--parquet", recorded)),
            env=os.environ | self._settings.environment() | {"TMPDIR": str(draft.parent)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            told, said = await asyncio.gather(process.stdout.read(), _follow(process.stderr, running))
            code = await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if code:
            return Trial(author, error=said)
        report = msgspec.json.decode(told, type=Report)
        return Trial(author, report, await asyncio.to_thread(_plots, report))


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def _write(folder: Path, draft: Draft) -> Path:
    written = folder / "draft.yaml"
    written.write_text(yaml_text(draft.revision), encoding="utf-8")
    return written


async def _follow(stream: asyncio.StreamReader, running: Running) -> str:
    """Note how far it is; gives what else it said at last."""
    said: list[str] = []
    async for line in stream:
        match line.decode(errors="replace").split():
            case [step, done, total] if done.isdecimal() and total.isdecimal():
                running.step, running.done, running.total = step, int(done), int(total)
            case _:
                said = [*said, line.decode(errors="replace").rstrip()][-_ERROR_LINES:]
    return "\n".join(said)


def _plots(report: Report) -> list[tuple[str, str]]:
    from whatif.page import plots  # the library behind it is slow to load, and seldom needed

    return plots(report)
