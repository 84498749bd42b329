"""The comparison as one HTML page that needs nothing else: tables, and plots as inline SVG."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import groupby

from market.study.compare import Estimate, Row
from market.study.measures import Measures
from market.study.policies import STRATEGIES

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 260, 56, 28
_COLOURS = ("#777777", "#a6761d", "#7570b3", "#66a61e", "#e6ab02", "#1f78b4", "#1b9e77", "#d95f02", "#e7298a", "#000")
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}svg{margin:0 1rem 1rem 0}figcaption{font-weight:600}figure{margin:1rem 0}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th{border-color:#444}svg{background:#fff}}"""


def report(rows: Sequence[Row], runs: Sequence[Measures]) -> str:
    """The page."""
    seeds = len({run.seed for run in runs})
    sizes = sorted({(run.borrowers, run.days) for run in runs})
    played = ", ".join(f"{borrowers:,} borrowers over {days} days" for borrowers, days in sizes)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Policies on the simulated market</title>",
        f"<style>{_STYLE}</style><h1>Policies on the simulated market</h1>",
        f"<p>{played}; {seeds} seed(s); means with 95% t-intervals over seeds. Every policy meets the same borrowers. "
        "Net revenue is fees less 1,000 yuan for each good borrower captured. <i>Regret closed</i> is the way from "
        "lock-in (0) to full knowledge (1) on net revenue, <i>capture closed</i> the same on captured borrowers alone: "
        "a policy may earn more by fees and defend nobody. The <i>bound</i> is the most that the drawdowns of a "
        "policy's own runs could have earned on average, without rotation rules.</p>",
    ]
    for scenario, group in groupby(rows, key=lambda row: row.scenario):
        parts.append(f"<h2>{escape(scenario)}</h2>")
        parts.append(_table(list(group)))
        mine = [run for run in runs if run.scenario == scenario]
        parts.append(_curves(mine))
        parts.append(_bars("Net revenue (thousand yuan)", mine, lambda run: run.revenue / 1e5))
        if any(run.bound for run in mine):
            parts.append(_bars("Expected net revenue, % of the bound", mine, _of_bound))
        parts.append(_bars("Exposure: funders that saw a borrower", mine, lambda run: run.exposure))
        parts.append(_bars("Share of a borrower's loans at the funder with most", mine, lambda run: run.top_share))
        parts.append(_delays(mine))
        parts.append(_shares(mine))
    return "".join(parts) + "</html>\n"


def _table(rows: Sequence[Row]) -> str:
    heads = (
        "policy", "captured %", "fees, k yuan", "net, k yuan", "regret closed", "capture closed", "net over lock-in, k",
        "net over rotation, k",
        "detected", "median days", "false steps / funder-year", "top share", "exposure", "unserved %", "overruns",
        "violations", "bound, k yuan", "of bound %",
    )  # fmt: skip
    lines = []
    for row in rows:
        cells = (
            escape(row.policy),
            _shown(row.captured_share, 100, 2),
            _shown(row.fees, 1e-5, 0),
            _shown(row.revenue, 1e-5, 0),
            _shown(row.regret_closed, 1, 2),
            _shown(row.capture_closed, 1, 2),
            _shown(row.against_lock_in, 1e-5, 0),
            _shown(row.against_rotation, 1e-5, 0),
            _found(row),
            "–" if row.detection_days is None else f"{row.detection_days:.0f}",
            f"{row.false_steps_a_year:.2f}",
            _shown(row.top_share, 1, 2),
            _shown(row.exposure, 1, 2),
            _shown(row.unserved_share, 100, 1),
            str(row.overruns),
            str(row.violations),
            _shown(row.bound, 1e-5, 0),
            _shown(row.of_bound, 100, 1),
        )
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<div style='overflow-x:auto'><table><tr>{head}</tr>{''.join(lines)}</table></div>"


def markdown_table(rows: Sequence[Row]) -> str:
    """The rows as a page of documentation shows them, without columns that tell nothing of any."""
    columns: dict[str, Callable[[Row], str]] = {
        "scenario": lambda row: row.scenario,
        "policy": lambda row: f"`{row.policy}`",
        "good borrowers captured, %": lambda row: _shown(row.captured_share, 100, 1),
        "net revenue, million yuan": lambda row: _shown(row.revenue, 1e-8, 2),
        "regret closed": lambda row: _shown(row.regret_closed, 1, 2),
        "capture closed": lambda row: _shown(row.capture_closed, 1, 2),
        "net over lock-in, k yuan": lambda row: _shown(row.against_lock_in, 1e-5, 0),
        "net over rotation, k yuan": lambda row: _shown(row.against_rotation, 1e-5, 0),
        "of bound, %": lambda row: _shown(row.of_bound, 100, 1),
        "found": _found,
        "median days": lambda row: "–" if row.detection_days is None else f"{row.detection_days:.0f}",
        "false steps a funder-year": lambda row: f"{row.false_steps_a_year:.2f}",
        "top share, %": lambda row: _shown(row.top_share, 100, 0),
        "seeds": lambda row: str(row.revenue.seeds),
    }
    told = {head: [cell(row).replace("&nbsp;", " ") for row in rows] for head, cell in columns.items()}
    told = {head: cells for head, cells in told.items() if set(cells) != {"–"}}
    lines = [list(told), ["---"] * len(told), *zip(*told.values(), strict=True)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _found(row: Row) -> str:
    return "–" if row.detected_share is None else f"{row.detected_share:.0%}"


def _shown(estimate: Estimate | None, scale: float, digits: int) -> str:
    if estimate is None:
        return "–"
    shown = f"{estimate.mean * scale:,.{digits}f}"
    return shown if estimate.half_width is None else f"{shown}&nbsp;±&nbsp;{estimate.half_width * scale:,.{digits}f}"


def _by_policy(runs: Sequence[Measures]) -> dict[str, list[Measures]]:
    return {name: mine for name in STRATEGIES if (mine := [run for run in runs if run.policy == name])}


def _colour(policy: str) -> str:
    return _COLOURS[list(STRATEGIES).index(policy) % len(_COLOURS)]


def _curves(runs: Sequence[Measures]) -> str:
    """Share of good borrowers captured, by day, mean over seeds."""
    lines: dict[str, list[float]] = {}
    for policy, mine in _by_policy(runs).items():
        by_day = zip(*[[each / max(1, run.good) * 100 for each in run.captured_by_day] for run in mine], strict=True)
        lines[policy] = [sum(day) / len(day) for day in by_day]
    most = max((max(line, default=0.0) for line in lines.values()), default=0.0) or 1.0
    drawn = []
    for place, (policy, line) in enumerate(lines.items()):
        step = (_WIDTH - _LEFT) / max(1, len(line) - 1)
        points = " ".join(f"{_LEFT + day * step:.1f},{_up(value, most):.1f}" for day, value in enumerate(line))
        colour = _colour(policy)
        drawn.append(f"<polyline points='{points}' fill=none stroke='{colour}' stroke-width=2 />")
        drawn.append(_text(_WIDTH + 10, 20 + 16 * place, escape(policy), colour))
    days = max((run.days for run in runs), default=0)
    axis = [_text(0, 14, f"{most:.1f}%"), _text(0, _HEIGHT - _BOTTOM, "0%")]
    axis.append(_text(_WIDTH - 50, _HEIGHT - 6, f"day {days}"))
    return _figure("Good borrowers captured", "".join(drawn + axis), _WIDTH + 140, _HEIGHT)


def _bars(title: str, runs: Sequence[Measures], of: Callable[[Measures], float]) -> str:
    means = {policy: sum(map(of, mine)) / len(mine) for policy, mine in _by_policy(runs).items()}
    return _horizontal(title, means)


def _of_bound(run: Measures) -> float:
    return 100 * (run.expected or 0.0) / run.bound if run.bound else 0.0


def _delays(runs: Sequence[Measures]) -> str:
    """Days from a funder's first day of capture until it is found, each funder that is and seed a dot."""
    drawn, place = [], 0
    days = max((run.days for run in runs), default=1)
    for policy, mine in _by_policy(runs).items():
        found = [delay for run in mine for delay in run.detected.values()]
        if not found:
            continue
        place += 1
        drawn.append(_text(0, 18 * place + 4, escape(policy), _colour(policy)))
        drawn += [
            f"<circle cx={140 + max(0, delay) / days * (_WIDTH - 160):.1f} cy={18 * place} r=4 "
            f"fill='{_colour(policy)}' fill-opacity=.5 />"
            for delay in found
        ]
    if not place:
        return ""
    axis = _text(140, 18 * place + 24, "0 days") + _text(_WIDTH - 40, 18 * place + 24, f"{days} days")
    title = "Days until a capturing funder is found (those that were)"
    return _figure(title, "".join(drawn) + axis, _WIDTH, 18 * place + 30)


def _shares(runs: Sequence[Measures]) -> str:
    """Shares of the loans by funder, for each policy."""
    parts = []
    for policy, mine in _by_policy(runs).items():
        means = {funder: sum(run.shares[funder] for run in mine) / len(mine) for funder in mine[0].shares}
        parts.append(_horizontal(f"Funders' shares of loans: {policy}", means))
    return f"<details><summary>Funders' shares</summary>{''.join(parts)}</details>"


def _horizontal(title: str, values: Mapping[str, float]) -> str:
    most = max((abs(value) for value in values.values()), default=0.0) or 1.0
    drawn = []
    for place, (name, value) in enumerate(values.items()):
        colour = _colour(name) if name in STRATEGIES else "#1f78b4"
        length = max(0.0, value) / most * (_WIDTH - 260)
        drawn.append(_text(0, 18 * place + 14, escape(name)))
        drawn.append(f"<rect x=140 y={18 * place + 3} width={length:.1f} height=13 fill='{colour}' />")
        drawn.append(_text(146 + length, 18 * place + 14, f"{value:,.2f}"))
    return _figure(title, "".join(drawn), _WIDTH, 18 * len(values) + 6)


def _up(value: float, most: float) -> float:
    return (_HEIGHT - _BOTTOM) - value / most * (_HEIGHT - _BOTTOM - 12)


def _text(x: float, y: float, text: str, colour: str = "#333333") -> str:
    return f"<text x={x:.1f} y={y:.1f} font-size=12 fill='{colour}'>{text}</text>"


def _figure(title: str, drawn: str, width: int, height: int) -> str:
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f"<svg width={width} height={height} viewBox='0 0 {width} {height}' role=img>{drawn}</svg></figure>"
    )
