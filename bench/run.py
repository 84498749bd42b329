"""One engine at work on one load: laid out before it, measured from outside.

An engine is a process that finds the servers, a topic prefix and a port in the worker's environment variables
(contract, section 7), reads the load's topics in the group `PREFIX` + `loanrouter`, writes one decision for each
request, and ends on SIGTERM. It is measured in this order:

1. what it must know first (credit grants) is in the topics when it starts; it has read that when its group's lag is 0;
2. it decides the warm-up requests;
3. it is frozen (SIGSTOP) while the measured requests are appended, so that laying them out costs it nothing;
4. it is let go: from here to the append time of its last decision is the time that counts, and so for its CPU.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from bench.child import Child, EngineFailed
from bench.ground import PARTITIONS, Record, Servers, Topics
from config.settings import Settings
from streams.batches import Record as Fetched
from streams.embedded import free_port
from streams.topics import app_id

DECISIONS = "routing-decisions"
APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
_POLL_SECONDS = 0.05
_STALLED_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is given: what it must know first, warm-up requests, and those that are measured."""

    known: Sequence[Record]
    warm_up: Sequence[Record]
    measured: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Engine:
    """One way of doing the work. `share` is the part of the load it gets: slow ones would take hours for all of it."""

    name: str
    title: str
    command: Sequence[str]
    share: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of one engine showed. Seconds, bytes; CPU is user and system of the engine and its children.

    `late` is the part from when half of the decisions were there: after every warm-up.
    """

    engine: str
    round: int
    decisions: int
    seconds: float
    cpu_seconds: float
    late_decisions: int
    late_seconds: float
    late_cpu_seconds: float
    peak_memory: int
    server_cpu_seconds: dict[str, float]

    @property
    def rate(self) -> float:
        """Decisions per second."""
        return self.decisions / self.seconds

    @property
    def rate_per_cpu(self) -> float:
        """Decisions per CPU-second."""
        return self.decisions / self.cpu_seconds

    @property
    def late_rate_per_cpu(self) -> float:
        """Decisions per CPU-second, of the second half."""
        return self.late_decisions / max(self.late_cpu_seconds, 0.01)


class Prepare(Protocol):
    """Creates the topics of a run."""

    async def __call__(self, topics: Topics, settings: Settings) -> None:
        """Create what the load and the engine need; `DECISIONS` with `APPEND_TIME`."""


Say = Callable[[str], None]
Companion = Callable[["Run", int], AbstractContextManager[None]]
"""What goes along with the measured part of a run: gets the run and the engine's process id."""


class _Decided(msgspec.Struct):
    drawdown_id: str


_decided = msgspec.json.Decoder(_Decided)


class Run:
    """One run of an engine. After `measure`, `decisions` holds what it decided, by drawdown."""

    def __init__(
        self,
        servers: Servers,
        topics: Topics,
        engine: Engine,
        prefix: str,
        config: Path,
        say: Say,
        companion: Companion | None = None,
    ) -> None:
        self.decisions: dict[str, bytes] = {}
        self.settings = Settings(
            kafka=servers.kafka,
            redis=servers.redis,
            config=config,
            topic_prefix=prefix,
            partitions=PARTITIONS,
            web_port=free_port(),
            data=servers.folder / prefix / "data",
            clock="stream",
        )
        self._servers = servers
        self._topics = topics
        self._engine = engine
        self._prefix = prefix
        self._say = say
        self._companion = companion or (lambda run, pid: nullcontext())
        self._output = prefix + DECISIONS

    async def measure(self, load: Load, prepare: Prepare, number: int) -> Measured:
        """Run the engine on `load`; raises `EngineFailed` when it ends or stands still."""
        await prepare(self._topics, self.settings)
        await self._topics.fill(load.known, self._prefix)
        self.settings.data.mkdir(parents=True)
        env = {**self.settings.environment(), **self._engine.env}
        with Child(self._engine.command, env, self.settings.data.parent / "log") as child:
            await self._learn(child, load.known)
            await self._topics.fill(load.warm_up, self._prefix)
            await self._decide(child, 0, len(load.warm_up), "warm-up")
            with self._companion(self, child.pid):
                measured = await self._measure(child, load, number)
            child.stop()
        records = await self._topics.read(self._output)
        self._check(records, len(load.warm_up) + len(load.measured))
        await self._topics.drop(self._prefix)
        return msgspec.structs.replace(measured, seconds=_last_append(records) - self._began)

    async def _learn(self, child: Child, known: Iterable[Record]) -> None:
        topics = {self._prefix + record.topic for record in known}
        stalled = _Stalled(child)
        while lag := await self._topics.lag(app_id(self.settings), topics):
            self._say(f"reads what it must know, {lag:,} records to go")
            stalled.check(lag)
            await asyncio.sleep(5 * _POLL_SECONDS)

    async def _measure(self, child: Child, load: Load, number: int) -> Measured:
        begun_at = len(load.warm_up)
        child.freeze()
        try:
            await self._topics.fill(load.measured, self._prefix)
            servers_before, before = self._servers.cpu(), child.usage()
            self._began = time.time()
        finally:
            child.thaw()
        half = await self._decide(child, begun_at, len(load.measured) // 2, "first half")
        at_half, half_cpu = time.time(), child.usage().cpu
        done = await self._decide(child, begun_at, len(load.measured), "second half")
        at_end, after = time.time(), child.usage()
        servers_after = self._servers.cpu()
        return Measured(
            engine=self._engine.name,
            round=number,
            decisions=done,
            seconds=at_end - self._began,
            cpu_seconds=after.cpu - before.cpu,
            late_decisions=done - half,
            late_seconds=at_end - at_half,
            late_cpu_seconds=after.cpu - half_cpu,
            peak_memory=after.peak_memory,
            server_cpu_seconds={name: cpu - servers_before[name] for name, cpu in servers_after.items()},
        )

    async def _decide(self, child: Child, before: int, wanted: int, phase: str) -> int:
        """Wait for `wanted` decisions after the first `before`; how many there are then."""
        stalled = _Stalled(child)
        while (done := await self._topics.count(self._output) - before) < wanted:
            self._say(f"{phase}: {done:,} of {wanted:,} decisions")
            stalled.check(done)
            await asyncio.sleep(_POLL_SECONDS)
        return done

    def _check(self, records: Iterable[Fetched], wanted: int) -> None:
        for record in records:
            value = record.value or b""
            drawdown_id = _decided.decode(value).drawdown_id
            if drawdown_id in self.decisions:
                raise EngineFailed(f"{self._engine.name} decided {drawdown_id} twice")
            self.decisions[drawdown_id] = value
        if len(self.decisions) != wanted:
            raise EngineFailed(f"{self._engine.name} made {len(self.decisions)} decisions, asked were {wanted}")


class _Stalled:
    """Raises when a number stands still for too long, or the engine has ended."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._last: int | None = None
        self._since = time.monotonic()

    def check(self, number: int) -> None:
        self._child.check()
        if number != self._last:
            self._last, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > _STALLED_SECONDS:
            raise EngineFailed(f"stands still at {number}: {self._child.last_words()}")


def _last_append(records: Iterable[Fetched]) -> float:
    return max(record.timestamp for record in records) / 1000
