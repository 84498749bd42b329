"""The demo's live view: borrowers × funders, shares against caps, quotas, decisions a second."""

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from config.rotation import RotationConfig
from market.journal import Journal

_COLOURS = ("red", "green", "yellow", "blue", "magenta", "cyan", "bright_red", "bright_green", "bright_blue", "white")
_BARS = " ▁▂▃▄▅▆▇█"
_BORROWERS = 18
_LEDGER = 24


def plain_line(journal: Journal, elapsed: float) -> str:
    """Progress in one line; `elapsed` in seconds."""
    statuses = ", ".join(f"{status} {number}" for status, number in sorted(journal.statuses.items()))
    return (
        f"{elapsed:5.0f} s  {journal.published} published, {sum(journal.statuses.values())} decisions ({statuses}), "
        f"{journal.dead_letters.total()} dead letters, {journal.waiting} waiting"
    )


def screen(config: RotationConfig, journal: Journal) -> RenderableType:
    """The whole view, for any terminal from 100×30."""
    colours = {funder.id: _COLOURS[n % len(_COLOURS)] for n, funder in enumerate(config.funders)}
    layout = Layout()
    layout.split_column(Layout(name="top", ratio=1), Layout(_figures(journal), size=7))
    layout["top"].split_row(
        Layout(Panel(_borrowers(journal, colours), title="Borrowers, latest drawdowns by funder")),
        Layout(Panel(_funders(config, journal, colours), title="Funders"), ratio=2),
    )
    return layout


def _borrowers(journal: Journal, colours: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 1))
    for customer_id, recent in list(journal.borrowers.items())[-_BORROWERS:][::-1]:
        blocks = Text()
        for funder_id in list(recent)[-_LEDGER:]:
            blocks.append("■", style=colours.get(funder_id, "white"))
        table.add_row(customer_id, blocks)
    return table


def _funders(config: RotationConfig, journal: Journal, colours: dict[str, str]) -> Table:
    table = Table(box=None, expand=True)
    for heading in ("funder", "share", "cap", "quota: amount", "count", "passed"):
        table.add_column(heading, no_wrap=True)
    routed = sum(taken.routed for taken in journal.funders.values())
    cap = config.rotation.max_share.at_most if config.rotation.max_share else 1.0
    for funder in config.funders:
        taken = journal.funders[funder.id]
        table.add_row(
            Text(f"■ {funder.id}", style=colours[funder.id]),
            f"{taken.routed / routed:.0%}" if routed else "",
            f"{cap:.0%}",
            _bar(taken.amount, funder.quota.daily_amount),
            _bar(taken.count, funder.quota.daily_count),
            "" if taken.pass_rate is None else f"{taken.pass_rate:.0%}",
        )
    return table


def _figures(journal: Journal) -> RenderableType:
    rates = [number for _, number in journal.per_second]
    most = max(rates, default=1)
    spark = "".join(_BARS[round(rate / most * (len(_BARS) - 1))] for rate in rates)
    held, rejected = journal.statuses["held"], journal.statuses["rejected"]
    relaxed = ", ".join(f"{rule} {number}" for rule, number in journal.relaxed.most_common()) or "none"
    letters = ", ".join(f"{reason} {number}" for reason, number in journal.dead_letters.most_common()) or "none"
    return Panel(
        Group(
            f"decisions a second  {spark} {rates[-1] if rates else 0}",
            f"routed {journal.statuses['routed']}, held {held}, rejected {rejected}, waiting {journal.waiting}",
            f"rules relaxed: {relaxed}",
            f"dead letters: {letters}",
            Text("Ctrl-C ends and sums up", style="dim"),
        )
    )


def _bar(used: int, quota: int, width: int = 10) -> str:
    filled = min(width, round(width * used / quota)) if quota else width
    return "█" * filled + "░" * (width - filled)
