"""Results as tables of text: for the terminal and for `docs/performance.md`."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.compare import Spread, ratios, spread
from bench.results import Compared
from bench.run import Measured

_MEGA = 1024 * 1024


class Table(NamedTuple):
    """A title, the head, and rows of cells; the first column is text, the others numbers."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def compared(title: str, section: Compared) -> Table:
    """Decisions per second and per CPU-second (of the second half too): medians, and extremes over the rounds.

    Ratios are taken within a round.
    """
    head = ("engine", "per second", "ours ÷ it", "per CPU-second", "ours ÷ it", "second half", "peak MiB")
    rows = [_row(section, engine) for engine in section.titles]
    return Table(title, head, rows)


def _row(section: Compared, engine: str) -> tuple[str, ...]:
    results = section.of(engine)

    def ratio(rate: str) -> str:
        if engine == section.ours:
            return "–"
        return _shown(ratios(section.results, section.ours, engine, lambda m: float(getattr(m, rate))), ".1f")

    return (
        engine,
        _median(results, "rate"),
        ratio("rate"),
        _median(results, "rate_per_cpu"),
        ratio("rate_per_cpu"),
        _median(results, "late_rate_per_cpu"),
        f"{max(result.peak_memory for result in results) / _MEGA:,.0f}",
    )


def _median(results: Sequence[Measured], rate: str) -> str:
    return _shown(spread([float(getattr(result, rate)) for result in results]), ",.0f")


def _shown(values: Spread, form: str) -> str:
    return f"{values.median:{form}} ({values.low:{form}}–{values.high:{form}})"
