"""One engine at work on one load: laid out before it, measured from outside.

An engine is one or more processes that find the servers, a topic prefix and a port in the worker's environment
variables (contract, section 7), read the load's topics in the group `PREFIX` + `loanrouter`, write one decision for
each request, and end on SIGTERM. It is measured in this order:

1. what it must know first (credit grants) is in the topics when it starts; it has read that when its group's lag is 0;
2. it decides the warm-up requests;
3. it is frozen (SIGSTOP) while the measured requests are appended, so that laying them out costs it nothing;
4. it is let go: from here to the append time of its last decision is the time that counts, and so for its CPU.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import msgspec

from bench.child import Child, EngineFailed, Usage
from bench.ground import PARTITIONS, Laid, Servers, Topics
from config.settings import Settings
from streams.batches import Record as Fetched
from streams.embedded import free_port
from streams.topics import app_id, topic_name

REQUESTS = "drawdown-requests"
DECISIONS = "routing-decisions"
APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
_POLL_SECONDS = 0.05
#: What the system counts CPU time in: less is told as none.
_TICK = 0.01
_STALLED_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is given: what it must know first, warm-up requests, and what is measured.

    `decisions` is how many requests there are in `measured`.
    """

    known: Laid
    warm_up: Laid
    measured: Laid
    decisions: int


@dataclass(frozen=True, slots=True)
class Engine:
    """One way of doing the work. `share` is the part of the load it gets: slow ones would take hours for all of it.

    `changelog` names, after the run's prefix is put into it, the topic in which it keeps its state. `beside` is a
    process that runs next to the measured part and is not counted.
    """

    name: str
    title: str
    command: Sequence[str]
    share: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1
    changelog: str = "{prefix}loanrouter-borrowers-changelog"
    beside: Sequence[str] = ()


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
        return self.decisions / max(self.cpu_seconds, _TICK)

    @property
    def late_rate_per_cpu(self) -> float:
        """Decisions per CPU-second, of the second half."""
        return self.late_decisions / max(self.late_cpu_seconds, _TICK)


class Prepare(Protocol):
    """Creates the topics of a run."""

    async def __call__(self, topics: Topics, settings: Settings) -> None:
        """Create what the load and the engine need; `DECISIONS` with `APPEND_TIME`."""


Say = Callable[[str], None]
Companion = Callable[["Run", "Processes"], AbstractContextManager[None]]
"""What goes along with the measured part of a run: gets the run and the engine's processes."""


class _Decided(msgspec.Struct):
    drawdown_id: str


_decided = msgspec.json.Decoder(_Decided)


class Processes:
    """The processes of one engine."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = children

    def check(self) -> None:
        """Raise `EngineFailed` when one has ended."""
        for child in self.children:
            child.check()

    def freeze(self) -> None:
        """Stop them all where they are."""
        for child in self.children:
            child.freeze()

    def thaw(self) -> None:
        """Let them go on."""
        for child in self.children:
            child.thaw()

    def usage(self) -> Usage:
        """What they have used together."""
        return Usage.of_all(child.usage() for child in self.children)

    def stop(self) -> None:
        """End them as an operator would."""
        for child in self.children:
            child.stop()

    def last_words(self) -> str:
        """The ends of what they printed."""
        return "\n".join(child.last_words() for child in self.children)


class Run:
    """One run of an engine."""

    def __init__(
        self, servers: Servers, topics: Topics, engine: Engine, name: str, config: Path, say: Say | None = None
    ) -> None:
        """`name` begins the topic prefix; `config` is the rotation configuration's file."""
        prefix = f"{name}-{uuid.uuid4().hex[:8]}."
        self.settings = Settings(
            kafka=servers.kafka,
            redis=servers.redis,
            config=config,
            topic_prefix=prefix,
            partitions=PARTITIONS,
            web_port=free_port(),
            data=servers.folder / prefix / "1",
            clock="stream",
        )
        self.engine = engine
        self._servers = servers
        self._topics = topics
        self._say = say or (lambda text: None)
        self._output = topic_name(self.settings, DECISIONS)
        self._group = app_id(self.settings)

    async def measure(
        self, load: Load, prepare: Prepare, number: int, companion: Companion | None = None
    ) -> tuple[Measured, dict[str, bytes]]:
        """Run the engine on `load`; what it showed, and its decisions by drawdown.

        Raises `EngineFailed` when it ends, stands still, or does not decide each request once.
        """
        accompany = companion or (lambda run, processes: nullcontext())
        async with self.at_work(load.known, load.warm_up, prepare) as processes:
            with accompany(self, processes):
                began, measured = await self._measure(processes, load, number)
        records = await self._topics.read(self._output)
        decisions = self.checked(records, load.warm_up.count + load.decisions)
        await self._check_changelog()
        await self._topics.drop(self.settings.topic_prefix)
        last = max(record.timestamp for record in records) / 1000
        return msgspec.structs.replace(measured, seconds=last - began), decisions

    @asynccontextmanager
    async def at_work(self, known: Laid, warm_up: Laid, prepare: Prepare) -> AsyncIterator[Processes]:
        """The engine's processes, when they have read what they must know and decided the warm-up; ends them."""
        await prepare(self._topics, self.settings)
        await self._topics.fill(known, self.settings.topic_prefix)
        with ExitStack() as stack:
            if self.engine.beside:
                log = self.settings.data.with_name("beside.log")
                log.parent.mkdir(parents=True)
                stack.enter_context(Child(self.engine.beside, {}, log))
            processes = Processes([stack.enter_context(self._start(n)) for n in range(1, self.engine.processes + 1)])
            if self.engine.processes > 1:
                await self._until_joined(processes)
            await self._learn(processes, known)
            await self._topics.fill(warm_up, self.settings.topic_prefix)
            await self.decide(processes, 0, warm_up.count, "warm-up")
            yield processes
            processes.stop()

    async def decide(self, processes: Processes, before: int, wanted: int, phase: str) -> int:
        """Wait for `wanted` decisions after the first `before`; how many there are then."""
        stalled = _Stalled(processes)
        while (done := await self._topics.count(self._output) - before) < wanted:
            self._say(f"{phase}: {done:,} of {wanted:,} decisions")
            stalled.check(done)
            await asyncio.sleep(_POLL_SECONDS)
        return done

    def checked(self, records: Sequence[Fetched], wanted: int) -> dict[str, bytes]:
        """Decisions by drawdown; raises `EngineFailed` when one comes twice or some are missing."""
        decisions: dict[str, bytes] = {}
        for record in records:
            value = record.value or b""
            drawdown_id = _decided.decode(value).drawdown_id
            if drawdown_id in decisions:
                raise EngineFailed(f"{drawdown_id} was decided twice")
            decisions[drawdown_id] = value
        if len(decisions) != wanted:
            raise EngineFailed(f"made {len(decisions)} decisions, asked were {wanted}")
        return decisions

    def _start(self, number: int) -> Child:
        """Start process `number` of the engine; the first one has the port and folder of `settings`."""
        settings = self.settings
        if number > 1:
            settings = replace(settings, web_port=free_port(), data=settings.data.with_name(str(number)))
        settings.data.mkdir(parents=True)
        env = {**settings.environment(), **self.engine.env}
        return Child(self.engine.command, env, settings.data.with_name(f"{number}.log"))

    async def _until_joined(self, processes: Processes) -> None:
        stalled = _Stalled(processes)
        while (members := await self._topics.members(self._group)) != self.engine.processes:
            self._say(f"{members} of {self.engine.processes} have joined")
            stalled.check(members)
            await asyncio.sleep(5 * _POLL_SECONDS)

    async def _learn(self, processes: Processes, known: Laid) -> None:
        topics = {topic_name(self.settings, topic) for topic, _ in known.by_partition}
        stalled = _Stalled(processes)
        while lag := await self._topics.lag(self._group, topics):
            self._say(f"reads what it must know, {lag:,} records to go")
            stalled.check(lag)
            await asyncio.sleep(5 * _POLL_SECONDS)

    async def _measure(self, processes: Processes, load: Load, number: int) -> tuple[float, Measured]:
        before = load.warm_up.count
        processes.freeze()
        try:
            await self._topics.fill(load.measured, self.settings.topic_prefix)
            servers_before, used_before = self._servers.cpu(), processes.usage()
            began = time.time()
        finally:
            processes.thaw()
        half = await self.decide(processes, before, load.decisions // 2, "first half")
        at_half, half_cpu = time.time(), processes.usage().cpu
        done = await self.decide(processes, before, load.decisions, "second half")
        at_end, used = time.time(), processes.usage()
        servers_after = self._servers.cpu()
        return began, Measured(
            engine=self.engine.name,
            round=number,
            decisions=done,
            seconds=at_end - began,
            cpu_seconds=used.cpu - used_before.cpu,
            late_decisions=done - half,
            late_seconds=at_end - at_half,
            late_cpu_seconds=used.cpu - half_cpu,
            peak_memory=used.peak_memory,
            server_cpu_seconds={name: cpu - servers_before[name] for name, cpu in servers_after.items()},
        )

    async def _check_changelog(self) -> None:
        topic = self.engine.changelog.format(prefix=self.settings.topic_prefix)
        if not await self._topics.count(topic):
            raise EngineFailed(f"wrote nothing to its changelog {topic}")


class _Stalled:
    """Raises when a number stands still for too long, or the engine has ended."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._last: int | None = None
        self._since = time.monotonic()

    def check(self, number: int) -> None:
        self._processes.check()
        if number != self._last:
            self._last, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > _STALLED_SECONDS:
            raise EngineFailed(f"stands still at {number}: {self._processes.last_words()}")
