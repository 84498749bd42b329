"""`docs/performance.svg`: decisions per second and per CPU-second of each engine."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

from bench.compare import Spread, spread
from bench.results import Compared, Results

_OURS, _OTHERS = "#1b7f5c", "#9aa5b1"
_RATES = (("rate", "decisions per second"), ("rate_per_cpu", "decisions per CPU-second"))


def draw(results: Results, path: Path) -> None:
    """Bars for medians, lines for the extremes over the rounds; logarithmic, since engines are orders apart."""
    named = (("The full job", results.job), ("A keyed rule with state", results.rule))
    sections = [(title, section) for title, section in named if section is not None]
    mpl.rcParams["svg.hashsalt"] = "loanrouter"  # the same figures give the same bytes
    heights = [len(section.titles) + 1 for _, section in sections]
    figure, grid = pyplot.subplots(
        len(sections), len(_RATES), figsize=(11, 0.45 * sum(heights) + 1), height_ratios=heights, squeeze=False
    )
    for row, (title, section) in zip(grid, sections, strict=True):
        for axes, (rate, label) in zip(row, _RATES, strict=True):
            _bars(axes, section, rate)
            axes.set_title(f"{title}: {label}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _bars(axes: Any, section: Compared, rate: str) -> None:
    engines = list(section.titles)[::-1]
    values: list[Spread] = [spread([getattr(m, rate) for m in section.of(engine)]) for engine in engines]
    axes.barh(
        engines,
        [value.median for value in values],
        xerr=[[value.median - value.low for value in values], [value.high - value.median for value in values]],
        color=[_OURS if engine == section.ours else _OTHERS for engine in engines],
        ecolor="#333333",
        capsize=2,
    )
    axes.set_xscale("log")
    for position, value in enumerate(values):
        axes.annotate(f" {value.median:,.0f}", (value.high, position), va="center", fontsize=8)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
