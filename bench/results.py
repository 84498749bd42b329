"""Results as they are kept: one JSON document, to which each run of a benchmark adds its section."""

from pathlib import Path

import msgspec

from bench.latency import Latency
from bench.machine import Machine
from bench.memory import Memory
from bench.run import Measured
from bench.what_if import WhatIf


class Compared(msgspec.Struct, frozen=True):
    """Engines side by side. `titles` names each in words; the first is ours."""

    machine: Machine
    titles: dict[str, str]
    results: list[Measured]

    @property
    def ours(self) -> str:
        """The name of our engine."""
        return next(iter(self.titles))

    def of(self, engine: str) -> list[Measured]:
        """Its results, round by round."""
        return [result for result in self.results if result.engine == engine]


class Results(msgspec.Struct, omit_defaults=True):
    """Everything measured so far, by benchmark. Profiles, of the full job and of the rule, are lines for people."""

    job: Compared | None = None
    rule: Compared | None = None
    workers: Compared | None = None
    latency: Latency | None = None
    memory: Memory | None = None
    what_if: WhatIf | None = None
    profile: list[str] = []
    rule_profile: list[str] = []


def read(path: Path) -> Results:
    """What a file holds; nothing when there is none."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else Results()


def encode(results: Results) -> str:
    """As text, indented."""
    return msgspec.json.format(msgspec.json.encode(results), indent=1).decode() + "\n"


def write(path: Path, results: Results) -> None:
    """Keep them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(encode(results))
