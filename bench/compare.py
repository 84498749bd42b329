"""Engines side by side: rounds in turn, ratios within a round, and no result when they decide differently."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.child import EngineFailed
from bench.ground import Servers, Topics
from bench.run import Companion, Engine, Load, Measured, Prepare, Run


class Differs(Exception):
    """Two engines, or two rounds, decided the same drawdown differently."""


class Comparison(NamedTuple):
    """What is compared. `load(share)` makes an engine's load; `config` is the rotation configuration's file."""

    name: str
    engines: Sequence[Engine]
    load: Callable[[float], Load]
    prepare: Prepare
    config: Path


class Spread(NamedTuple):
    """Median and extremes over rounds."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and extremes; of no values a `ValueError`."""
    return Spread(median(values), min(values), max(values))


def ratios(results: Sequence[Measured], ours: str, other: str, of: Callable[[Measured], float]) -> Spread:
    """How many times `other`'s our `of` is, taken within each round."""
    by_round = {(result.round, result.engine): of(result) for result in results}
    return spread([by_round[n, ours] / by_round[n, other] for n in sorted({n for n, _ in by_round})])


async def compare(
    servers: Servers, topics: Topics, comparison: Comparison, rounds: int, companion: Companion | None = None
) -> list[Measured]:
    """Every engine once a round, the order turned round each time; `Differs` when decisions are not the same bytes."""
    loads = {share: comparison.load(share) for share in {engine.share for engine in comparison.engines}}
    known: dict[str, bytes] = {}
    results = []
    for number in range(1, rounds + 1):
        for engine in comparison.engines[:: 1 if number % 2 else -1]:
            progress = Progress(f"{comparison.name}, round {number} of {rounds}, {engine.name}")
            name = f"{comparison.name}{number}-{engine.name}"
            run = Run(servers, topics, engine, name, comparison.config, progress.say)
            try:
                measured, decisions = await run.measure(loads[engine.share], comparison.prepare, number, companion)
            except EngineFailed as error:
                raise EngineFailed(f"{engine.name}: {error}") from None
            _agree(known, decisions, engine.name)
            progress.end(
                f"{measured.decisions:,} decisions, {measured.rate:,.0f}/s, {measured.rate_per_cpu:,.0f} per CPU-second"
            )
            results.append(measured)
    return results


def _agree(known: dict[str, bytes], decisions: Mapping[str, bytes], engine: str) -> None:
    for drawdown_id, value in decisions.items():
        if known.setdefault(drawdown_id, value) != value:
            other = known[drawdown_id]
            raise Differs(f"{drawdown_id} was decided in two ways, here by {engine}: {value!r}, before: {other!r}")


class Progress:
    """Tells on stderr what goes on: in place on a terminal, else only how each run ended."""

    def __init__(self, what: str) -> None:
        self._what = what

    def say(self, text: str) -> None:
        """What is being done now."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{self._what}: {text}")
            sys.stderr.flush()

    def end(self, text: str) -> None:
        """How it ended."""
        start = "\r\033[K" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{start}{self._what}: {text}\n")
