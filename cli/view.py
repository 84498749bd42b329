"""The demo's live view: borrowers × funders, shares against caps, quotas, decisions a second."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from config.rotation import MaxShare
from market.journal import Journal, Routed
from rotation.clock import shanghai_minute
from rotation.policy import Policy

_COLOURS = ("red", "green", "yellow", "blue", "magenta", "cyan", "white", "bright_red", "bright_green", "bright_blue")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SPARKS = " ▁▂▃▄▅▆▇█"
_FIGURES_HEIGHT = 7
_BORROWERS_WIDTH = 40
_LEDGER = 20
_SECONDS = 60
_RATE_OVER = 5
_LATENCIES = 200


def plain_line(journal: Journal, elapsed: float) -> str:
    """Progress in one line; `elapsed` in seconds."""
    return (
        f"{elapsed:5.0f} s  {journal.published} records published, {_decisions(journal)}, "
        f"{journal.expected.total()} bad records planted, {journal.dead_letters.total()} in dead letters"
    )


def screen(policy: Policy, journal: Journal, *, now: int, size: tuple[int, int], status: str) -> RenderableType:
    """The view for a terminal of `size` (columns and lines, from 100×30) at `now` (ms); `status` is its last line."""
    width, height = size
    tiles = {
        funder_id: (_LETTERS[n % len(_LETTERS)], _COLOURS[n % len(_COLOURS)])
        for n, funder_id in enumerate(policy.funder_ids)
    }
    top, cap = height - _FIGURES_HEIGHT, policy.config.rotation.max_share
    layout = Layout()
    layout.split_column(
        Layout(name="top", size=top), Layout(_figures(journal, now, width, status), size=_FIGURES_HEIGHT)
    )
    layout["top"].split_row(
        Layout(
            Panel(_borrowers(journal, tiles, cap, rows=top - 2), title="Borrowers' drawdowns, newest right"),
            size=_BORROWERS_WIDTH,
        ),
        Layout(Panel(Group(_funders(policy, journal, tiles, now, width), _legend(cap)), title="Funders")),
    )
    return layout


def _borrowers(journal: Journal, tiles: Mapping[str, tuple[str, str]], cap: MaxShare | None, rows: int) -> Table:
    """The first borrowers that were routed, each on the same line until the end."""
    table = Table.grid(padding=(0, 1))
    for min_width in (9, _LEDGER, 3):
        table.add_column(min_width=min_width, no_wrap=True)
    for customer_id, recent in islice(journal.borrowers.items(), rows):
        ledger = Text(no_wrap=True)
        for routed in list(recent)[-_LEDGER:]:
            ledger.append_text(_tile(routed, tiles[routed.funder_id], came_to_nothing=_is_no_loan(journal, routed)))
        loans = [routed.funder_id for routed in recent if not _is_no_loan(journal, routed)]
        table.add_row(customer_id, ledger, _top(loans, cap))
    return table


def _tile(routed: Routed, tile: tuple[str, str], *, came_to_nothing: bool) -> Text:
    letter, colour = tile
    underlined = " underline" if routed.relaxed else ""
    if came_to_nothing:
        return Text(letter.lower(), style=f"{colour}{underlined}")
    return Text(letter, style=f"bold {colour} reverse{underlined}")


def _is_no_loan(journal: Journal, routed: Routed) -> bool:
    return routed.decision_id in journal.not_loans


def _top(loans: Sequence[str], cap: MaxShare | None) -> Text:
    """The top funder's part of the last loans, red above the cap."""
    if cap is None or len(loans) < cap.of_last:
        return Text("")
    top = Counter(loans[-cap.of_last :]).most_common(1)[0][1]
    return Text(f"{top}/{cap.of_last}", style="bold red" if top > cap.most else "green")


def _funders(policy: Policy, journal: Journal, tiles: Mapping[str, tuple[str, str]], now: int, width: int) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0))
    table.add_column("funder", no_wrap=True)
    for heading in ("share", "amount today", "count today", "passed"):
        table.add_column(heading, no_wrap=True, justify="right")
    routed = sum(taken.routed for taken in journal.funders.values())
    bar = min(16, 6 + max(0, width - 100) // 2)
    for funder, rules in zip(policy.config.funders, policy.funders, strict=True):
        taken, (letter, colour) = journal.funders[funder.id], tiles[funder.id]
        is_open = rules.is_open(shanghai_minute(now))
        table.add_row(
            Text.assemble((letter, f"bold {colour} reverse"), f" {funder.id}"),
            f"{taken.routed / routed:.0%}" if routed else "–",
            _used(taken.amount, funder.quota.daily_amount, bar),
            _used(taken.count, funder.quota.daily_count, bar),
            "closed" if not is_open else "–" if taken.pass_rate is None else f"{taken.pass_rate:.0%}",
            style="" if is_open else "dim",
        )
    return table


def _legend(cap: MaxShare | None) -> Text:
    legend = Text.assemble(
        "\nshare    of all drawdowns routed\n",
        "today    used of the day's quota, never overrun\n",
        "passed   loans among the answers; closed: out of hours\n\n",
        ("A", "bold reverse"),
        "  a loan, or it may become one;  a  it came to nothing\n",
        ("A", "bold reverse underline"),
        "  a rotation rule was given up: nobody else was left\n",
        style="dim",
    )
    if cap is not None:
        part = f"{cap.most}/{cap.of_last}"
        legend.append(f"{part}  of the last {cap.of_last} at one funder: the cap; red above", style="dim")
    return legend


def _figures(journal: Journal, now: int, width: int, status: str) -> RenderableType:
    rates = journal.per_second(now, _SECONDS)
    most = max(1, *rates)
    spark = "".join(_SPARKS[-(-rate * (len(_SPARKS) - 1) // most)] for rate in rates)
    latencies = sorted(journal.latencies[-_LATENCIES:])
    median = f"{latencies[len(latencies) // 2]} ms" if latencies else "–"
    relaxed = ", ".join(f"{rule} {number}" for rule, number in journal.relaxed.most_common()) or "none"
    lines = (
        f"decisions a second {spark[-max(10, width - 40) :]} {sum(rates[-_RATE_OVER:]) / _RATE_OVER:.0f}",
        _decisions(journal),
        f"rotation rules given up: {relaxed}",
        f"request to decision: median {median}; bad records: {journal.expected.total()} planted, "
        f"{journal.dead_letters.total()} in dead letters",
    )
    body = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
    return Panel(Group(*body, Text(status, style="bold", no_wrap=True, overflow="ellipsis")), title="loanrouter demo")


def _decisions(journal: Journal) -> str:
    by_status = ", ".join(f"{journal.statuses[status]} {status}" for status in ("routed", "held", "rejected"))
    return f"{journal.statuses.total()} decisions ({by_status}), {journal.waiting} not decided yet"


def _used(used: int, quota: int, bar: int) -> str:
    part = used / quota if quota else 1.0
    filled = min(bar, round(bar * part))
    return f"{'█' * filled}{'░' * (bar - filled)} {part:>4.0%}"
