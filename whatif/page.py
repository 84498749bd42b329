"""A report as one HTML page: its tables and plots, nothing to load from anywhere."""

import io
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from whatif.tables import Table, tables, window
from whatif.told import Report

_BEFORE, _AFTER = "#9aa5b1", "#1b7f5c"
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c2733; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #d8dee4; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; }
.no { border-left: 4px solid #b3261e; padding-left: 1rem; }
.yes { border-left: 4px solid #1b7f5c; padding-left: 1rem; }
"""


def page(report: Report, title: str) -> str:
    """The page. The same report gives the same bytes."""
    parts = [_verdict(report), *(f"<p>{escape(each)}</p>" for each in window(report))]
    parts += [f'<figure role="img" aria-label="{escape(words)}">{svg}</figure>' for words, svg in plots(report)]
    parts += [_table(table) for table in tables(report)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n<p>On recorded traffic up to revision {report.active_revision};"
        f" the draft is <code>{escape(report.draft_sha256)}</code>.</p>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def plots(report: Report) -> list[tuple[str, str]]:
    """The plots as SVG, each after the words that say what it shows."""
    return [
        ("Share of decisions that each funder gets, before and after", _shares(report)),
        ("Borrowers by the share of their top funder, before and after", _tops(report)),
        ("Change of loans, money lent and fees in per cent, with 95% intervals", _changes(report)),
    ]


def _verdict(report: Report) -> str:
    if report.answer == "yes":
        return '<div class="yes"><p>The record can tell what this draft would have brought.</p></div>'
    why = "".join(f"<li>{escape(each)}</li>" for each in report.why)
    return f'<div class="no"><p>The record cannot tell what this draft would have brought:</p><ul>{why}</ul></div>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2>\n<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"


def _shares(report: Report) -> str:
    names = sorted(report.before.funders.keys() | report.after.funders.keys())[::-1]
    figure = Figure(figsize=(9, 0.5 * len(names) + 1.2))
    axes = figure.subplots()
    for offset, side, color, label in ((0.2, report.before, _BEFORE, "before"), (-0.2, report.after, _AFTER, "after")):
        shares = [100 * side.funders[name].share if name in side.funders else 0.0 for name in names]
        axes.barh([n + offset for n in range(len(names))], shares, height=0.38, color=color, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("% of decisions")
    return _svg(figure, axes)


def _tops(report: Report) -> str:
    figure = Figure(figsize=(9, 3))
    axes = figure.subplots()
    bins = len(report.before.top_shares)
    for offset, side, color, label in ((-1, report.before, _BEFORE, "before"), (1, report.after, _AFTER, "after")):
        places = [100 * n / (bins - 1) + offset for n in range(bins)]
        axes.bar(places, side.top_shares, width=1.9, color=color, label=label)
    axes.set_xlabel("% of a borrower's ledger that is at one funder")
    axes.set_ylabel("borrowers")
    return _svg(figure, axes)


def _changes(report: Report) -> str:
    figure = Figure(figsize=(9, 2.2))
    axes = figure.subplots()
    outcomes = report.outcomes
    named = (("fees", outcomes.fees), ("money lent", outcomes.amount), ("loans", outcomes.loans))
    for place, (_, value) in enumerate(named):
        scale = 100 / value.before if value.before else 0.0
        low, high = (scale * end for end in value.change_interval)
        axes.plot([low, high], [place, place], color=_AFTER, linewidth=2)
        axes.plot([scale * value.change], [place], "o", color=_AFTER)
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.set_yticks(range(len(named)), [name for name, _ in named])
    axes.set_ylim(-0.5, len(named) - 0.5)
    axes.set_xlabel("% change")
    return _svg(figure, axes, legend=False)


def _svg(figure: Any, axes: Any, *, legend: bool = True) -> str:
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False)
    figure.tight_layout()
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "loanrouter", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue().partition("<svg")[1] + file.getvalue().partition("<svg")[2]
