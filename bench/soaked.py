"""What a soak showed: the figures that are kept, and the table and plot of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib import pyplot

from bench.document import where
from bench.job import REQUESTS_PER_BORROWER
from bench.machine import Machine

_ROWS = 12


class Slice(msgspec.Struct, frozen=True):
    """A part of the run: when it ended (s), its events and decisions, delays (ms), memory (bytes), CPU seconds."""

    ended: float
    events: int
    decisions: int
    p50: float
    p99: float
    longest: float
    resident: int
    cpu_seconds: float


class Soak(msgspec.Struct, frozen=True):
    """One run. `undecided` requests had no decision a minute after the last; `doubled` were decided twice."""

    machine: Machine
    rate: int
    minutes: float
    asked: int
    undecided: int
    doubled: int
    slices: list[Slice]


def markdown(soak: Soak, plot: str) -> str:
    """The document: what was played, the plot and the table."""
    return f"""# Soak

Written by `./dev soak --rate {soak.rate} --minutes {soak.minutes:g}`: one worker, one Apache Kafka and one Redis on one
machine. Borrowers come with their grants, ask {REQUESTS_PER_BORROWER} times and stay away; at first most events are
grants. Of {soak.asked:,} requests {soak.undecided} had no decision in the end, {soak.doubled} were decided twice.
Delays are from the append of a request to that of its first decision; where a row is made of several slices, the
longest one counts.

![memory and delays over time]({plot})

{chr(10).join(table(soak.slices))}

Played on {where(soak.machine)}
"""


def table(slices: Sequence[Slice]) -> Iterator[str]:
    """The lines of a table with some ten rows."""
    yield "| until, min | events/s | decisions/s | p50, ms | p99, ms | longest, ms | memory, MB | CPU, % |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    began, step = 0.0, -(-len(slices) // _ROWS)
    for begin in range(0, len(slices), step):
        part = slices[begin : begin + step]
        ended = part[-1].ended
        rates = [sum(each) / (ended - began) for each in zip(*((s.events, s.decisions) for s in part), strict=True)]
        delays = [max(each) for each in zip(*((s.p50, s.p99, s.longest) for s in part), strict=True)]
        cells = [f"{ended / 60:.1f}", *(f"{each:,.0f}" for each in (*rates, *delays, part[-1].resident / 1e6))]
        cpu = 100 * sum(s.cpu_seconds for s in part) / (ended - began)
        yield f"| {' | '.join(cells)} | {cpu:.0f} |"
        began = ended


def draw(slices: Sequence[Slice], path: Path) -> None:
    """Memory above, delays below, over time."""
    mpl.rcParams["svg.hashsalt"] = "loanrouter"  # the same figures give the same bytes
    figure, (memory, delays) = pyplot.subplots(2, 1, figsize=(9, 5), sharex=True)
    minutes = [each.ended / 60 for each in slices]
    memory.plot(minutes, [each.resident / 1e6 for each in slices])
    memory.set_ylabel("memory, MB")
    for name in ("p50", "p99"):
        delays.plot(minutes, [getattr(each, name) for each in slices], label=name)
    delays.set_ylabel("delay, ms")
    delays.set_xlabel("minutes")
    delays.legend()
    for axes in (memory, delays):
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
