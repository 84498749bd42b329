"""Results as tables of text: for the terminal and for `docs/performance.md`."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.compare import ratios, spread
from bench.latency import Latency
from bench.memory import Memory
from bench.results import Compared, Results
from bench.run import Measured
from bench.what_if import WhatIf

_MEGA = 1024 * 1024
_LEAST_CPU = 0.3  # seconds; the kernel counts hundredths


class Table(NamedTuple):
    """A title, the head, and rows of cells; the first column is text, the others numbers."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results) -> Iterator[Table]:
    """One table for each benchmark that was run."""
    for title, compared in (("The full job", results.job), ("A keyed rule with state", results.rule)):
        if compared is not None:
            yield comparison(title, compared)
    if results.workers is not None:
        yield comparison("Several workers", results.workers)
    if results.latency is not None:
        yield delays(results.latency)
    if results.memory is not None:
        yield recovery(results.memory)
    if results.what_if is not None:
        yield replayed(results.what_if)


def comparison(title: str, section: Compared) -> Table:
    """Decisions per second and per CPU-second (of the second half too): medians, and extremes over the rounds.

    Ratios of the first engine to each are taken within a round.
    """
    ratio = f"{section.ours} ÷ it"
    head = ("engine", "per second", ratio, "per CPU-second", ratio, "second half", "peak MiB")
    return Table(title, head, [_row(section, engine) for engine in section.titles])


def delays(section: Latency) -> Table:
    """Milliseconds from the append of a request to that of its decision: medians and extremes over the rounds."""
    rows = []
    cases = dict.fromkeys((result.engine, result.rate) for result in section.results)
    for engine, rate in cases:
        results = [result for result in section.results if (result.engine, result.rate) == (engine, rate)]
        shares = [spread([getattr(result, share) for result in results]) for share in ("p50", "p90", "p99", "longest")]
        kept_up = "yes" if all(result.kept_up for result in results) else "no"
        rows.append((engine, f"{rate:,}", *(shown(share, ",.0f") for share in shares), kept_up))
    return Table("Latency, ms", ("engine", "requests/s", "p50", "p90", "p99", "longest", "kept up"), rows)


def recovery(section: Memory) -> Table:
    """Each start of a worker, until it is ready."""
    rows = []
    for start in section.starts:
        nobody = start is section.starts[0]
        rows.append(
            (
                start.what,
                "0" if nobody else f"{section.borrowers:,}",
                f"{start.seconds:,.1f}",
                f"{start.cpu_seconds:,.1f}",
                f"{start.resident / _MEGA:,.0f}",
                f"{start.peak_memory / _MEGA:,.0f}",
                "–" if nobody else f"{section.per_borrower(start):,.0f}",
            )
        )
    head = ("start from", "borrowers", "seconds to ready", "CPU-seconds", "MiB", "peak MiB", "bytes each")
    return Table("Memory and recovery", head, rows)


def replayed(section: WhatIf) -> Table:
    """One what-if."""
    row = (
        f"{section.drawdowns:,}",
        f"{section.archive / _MEGA:,.0f}",
        f"{section.seconds:,.0f}",
        f"{section.cpu_seconds:,.0f}",
        f"{section.peak_memory / _MEGA:,.0f}",
    )
    return Table("What if", ("drawdowns", "archive MiB", "seconds", "CPU-seconds", "peak MiB"), [row])


def shown(values: tuple[float, float, float], form: str) -> str:
    """Median and, where they differ, extremes."""
    median, low, high = values
    return f"{median:{form}}" if low == high else f"{median:{form}} ({low:{form}}–{high:{form}})"


def _row(section: Compared, engine: str) -> tuple[str, ...]:
    results = section.of(engine)

    def ratio(rate: str) -> str:
        if engine == section.ours:
            return "–"
        return shown(ratios(section.results, section.ours, engine, lambda m: float(getattr(m, rate))), ".2f")

    return (
        engine,
        _median(results, "rate"),
        ratio("rate"),
        _median(results, "rate_per_cpu"),
        ratio("rate_per_cpu"),
        _median(results, "late_rate_per_cpu") if all(map(_has_late_half, results)) else "–",
        f"{max(result.peak_memory for result in results) / _MEGA:,.0f}",
    )


def _has_late_half(result: Measured) -> bool:
    """Whether enough was left after the first half to be measured: batches may be large."""
    return result.late_decisions > 0.1 * result.decisions and result.late_cpu_seconds > _LEAST_CPU


def _median(results: Sequence[Measured], rate: str) -> str:
    return shown(spread([float(getattr(result, rate)) for result in results]), ",.0f")
