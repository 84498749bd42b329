"""`latency`: from the append of a request to the append of its decision, at a steady rate.

Both topics are stamped by the broker (LogAppendTime), so the clock is one, the broker's, and the harness' own delays do
not count. With the stream clock that stamp is also the worker's time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time
from typing import NamedTuple

import msgspec

from bench import job
from bench.borrowers import Borrower
from bench.compare import Progress
from bench.ground import Laid, Record, Servers, Topics
from bench.job import OURS, PLAIN, REQUESTS_PER_BORROWER, STREAM_CLOCK, WARM_UP_BORROWERS
from bench.machine import Machine, this_machine
from bench.run import APPEND_TIME, DECISIONS, REQUESTS, Engine, Run
from config.settings import Settings
from streams.batches import Record as Fetched
from streams.topics import topic_name

CASES = ((OURS, 500), (OURS, 2000), (PLAIN, 500))


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """One run at `rate` requests a second. Milliseconds; `took` is how long (s) all decisions took to be there.

    An engine that cannot keep the rate has delays that grow with the length of the run: see `kept_up`.
    """

    engine: str
    round: int
    rate: int
    decisions: int
    asked_for: float
    took: float
    p50: float
    p90: float
    p99: float
    longest: float
    cpu_seconds: float

    @property
    def kept_up(self) -> bool:
        """Whether the last decision came within a second of the last request."""
        return self.took < self.asked_for + 1


class Latency(msgspec.Struct, frozen=True):
    """All runs, and the engines' names in words."""

    machine: Machine
    titles: dict[str, str]
    results: list[Delays]


class _Load(NamedTuple):
    known: Laid
    warm_up: Laid
    measured: list[Record]


async def measure(servers: Servers, topics: Topics, config: Path, rounds: int, seconds: float) -> Latency:
    """Each case once a round, each for `seconds`."""
    machine = this_machine()
    results = []
    for number in range(1, rounds + 1):
        for engine, rate in CASES:
            progress = Progress(f"latency, round {number} of {rounds}, {engine.name} at {rate}/s")
            delays = await _measure(servers, topics, config, engine, rate, seconds, number, progress)
            progress.end(f"p50 {delays.p50:,.0f} ms, p90 {delays.p90:,.0f} ms, p99 {delays.p99:,.0f} ms")
            results.append(delays)
    return Latency(machine, {engine.name: engine.title for engine, _ in CASES}, results)


async def _measure(
    servers: Servers,
    topics: Topics,
    config: Path,
    engine: Engine,
    rate: int,
    seconds: float,
    number: int,
    progress: Progress,
) -> Delays:
    run = Run(servers, topics, engine, f"latency{number}-{rate}-{engine.name}", config, progress.say)
    load = _load(round(rate * seconds))
    asked = len(load.measured)
    async with run.at_work(load.known, load.warm_up, _prepare) as processes:
        before = processes.usage().cpu
        progress.say(f"asks {asked:,} times")
        await topics.pace(load.measured, run.settings.topic_prefix, rate)
        await run.decide(processes, load.warm_up.count, asked, "catches up")
        used = processes.usage().cpu - before
    requests = await topics.read(topic_name(run.settings, REQUESTS))
    decisions = await topics.read(topic_name(run.settings, DECISIONS))
    run.checked(decisions, load.warm_up.count + asked)
    await topics.drop(run.settings.topic_prefix)
    asked_at, decided_at = _stamps(requests, load.warm_up), _stamps(decisions, load.warm_up)
    waited = sorted(decided_at[drawdown_id] - at for drawdown_id, at in asked_at.items())
    began = min(asked_at.values())
    return Delays(
        engine=engine.name,
        round=number,
        rate=rate,
        decisions=asked,
        asked_for=(max(asked_at.values()) - began) / 1000,
        took=(max(decided_at.values()) - began) / 1000,
        p50=at(waited, 0.5),
        p90=at(waited, 0.9),
        p99=at(waited, 0.99),
        longest=waited[-1],
        cpu_seconds=used,
    )


def _load(requests: int) -> _Load:
    borrowers = max(10, requests // REQUESTS_PER_BORROWER)
    start = int(time() * 1000)
    everybody = [Borrower(number, start) for number in range(borrowers + WARM_UP_BORROWERS)]
    return _Load(
        known=Laid.out(grant for one in everybody for grant in one.grants()),
        warm_up=Laid.out(one.request(0) for one in everybody[borrowers:]),
        measured=[one.request(n) for n in range(REQUESTS_PER_BORROWER) for one in everybody[:borrowers]],
    )


async def _prepare(topics: Topics, settings: Settings) -> None:
    await topics.create([topic_name(settings, REQUESTS)], APPEND_TIME | STREAM_CLOCK)
    await job.prepare(topics, settings)


class _Asked(msgspec.Struct):
    drawdown_id: str


_asked = msgspec.json.Decoder(_Asked)


def _stamps(records: Sequence[Fetched], warm_up: Laid) -> Mapping[str, int]:
    """When each measured drawdown's record was appended (ms)."""
    before = {record.key for placed in warm_up.by_partition.values() for record in placed}
    return {
        _asked.decode(record.value or b"").drawdown_id: record.timestamp
        for record in records
        if record.key not in before
    }


def at(ordered: Sequence[int], share: float) -> float:
    """The quantile of what is in order."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
