"""`./dev bench`: every performance figure, side by side on one machine."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.table import Table as RichTable

from bench import job, latency, memory, results, what_if
from bench.compare import Comparison, compare
from bench.ground import Servers, Topics, servers, topics
from bench.machine import this_machine
from bench.profile import Profile
from bench.results import Compared
from bench.rule import comparison as rule
from bench.run import Companion
from bench.tables import tables

T = TypeVar("T")

WHATS = {
    "job": "the full job: loanrouter against plain Faust",
    "rule": "a small keyed rule with state: our stream against its peers",
    "workers": "the full job by one, two and four workers",
    "latency": "from a request to its decision, at a steady rate",
    "memory": "memory of a borrower, and recovery with many of them",
    "what-if": "a what-if of a month's drawdowns",
}
_EVENTS = {"job": 120_000, "rule": 600_000, "workers": 120_000}


@click.command(epilog="WHAT: " + "; ".join(f"{what} = {meaning}" for what, meaning in WHATS.items()))
@click.argument("whats", nargs=-1, metavar="[WHAT]...", type=click.Choice(list(WHATS)))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Rounds of all engines in turn.")
@click.option(
    "--events",
    type=click.IntRange(100),
    help=f"Requests that the quick engines decide; {', '.join(f'{n:,} for {what}' for what, n in _EVENTS.items())}.",
)
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(1), help="Length of a latency run.")
@click.option("--borrowers", default=1_000_000, show_default=True, type=click.IntRange(1), help="Of memory.")
@click.option("--drawdowns", default=1_000_000, show_default=True, type=click.IntRange(1), help="Of what-if.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON instead of tables.")
@click.option(
    "--results",
    "path",
    default="build/bench.json",
    show_default=True,
    type=click.Path(path_type=Path),
    help="File that keeps the results; what was not measured now stays as it is. `./dev bench report` reads it.",
)
@click.option("--profile", is_flag=True, help="Instead of measuring, show and keep what our worker spends its time on.")
def main(
    whats: tuple[str, ...],
    rounds: int,
    events: int | None,
    seconds: float,
    borrowers: int,
    drawdowns: int,
    as_json: bool,
    path: Path,
    profile: bool,
) -> None:
    """Measure WHAT (all of it when left out) on one Apache Kafka and one Redis, engines in turn."""
    logging.basicConfig(level=logging.CRITICAL)  # clients of the harness; engines have logs of their own
    kept = results.read(path)
    chosen = list(whats or WHATS)
    if "what-if" in chosen and not profile:  # the only one that needs no servers
        chosen.remove("what-if")
        kept.what_if = what_if.measure(drawdowns)
        results.write(path, kept)
    if not chosen:
        _tell(kept, as_json=as_json)
        return
    with servers() as ground:
        if profile:
            kept.profile = _profile(job.comparison(ground.folder, events or _EVENTS["job"]), ground)
            kept.rule_profile = _profile(rule.comparison(ground.folder, events or _EVENTS["rule"]), ground)
            results.write(path, kept)
            click.echo("\n".join(["The full job", *kept.profile, "", "The keyed rule", *kept.rule_profile]))
            return
        folder = ground.folder
        config = job.write_configuration(folder)

        def compared(make: Callable[[Path, int], Comparison], what: str) -> Compared:
            return _compare(make(folder, events or _EVENTS[what]), ground, rounds)

        for what in chosen:
            match what:
                case "job":
                    kept.job = compared(job.comparison, what)
                case "rule":
                    kept.rule = compared(rule.comparison, what)
                case "workers":
                    kept.workers = compared(job.workers, what)
                case "latency":
                    kept.latency = _run(ground, lambda t: latency.measure(ground, t, config, rounds, seconds))
                case "memory":
                    kept.memory = _run(ground, lambda t: memory.measure(ground, t, config, borrowers))
            results.write(path, kept)
    _tell(kept, as_json=as_json)


def _tell(kept: results.Results, *, as_json: bool) -> None:
    if as_json:
        click.echo(results.encode(kept), nl=False)
        return
    for table in tables(kept):
        shown = RichTable(title=table.title, title_justify="left")
        for number, column in enumerate(table.head):
            shown.add_column(column, justify="right" if number else "left")
        for row in table.rows:
            shown.add_row(*row)
        Console().print(shown)


def _profile(comparison: Comparison, ground: Servers) -> list[str]:
    """Of the first engine, which is ours."""
    profile = Profile(ground.folder)
    _compare(comparison._replace(engines=comparison.engines[:1]), ground, 1, profile.during)
    return list(profile.lines())


def _compare(comparison: Comparison, ground: Servers, rounds: int, companion: Companion | None = None) -> Compared:
    machine = this_machine()
    measured = _run(ground, lambda clients: compare(ground, clients, comparison, rounds, companion))
    return Compared(machine, {engine.name: engine.title for engine in comparison.engines}, measured)


def _run(ground: Servers, work: Callable[[Topics], Awaitable[T]]) -> T:
    async def run() -> T:
        async with topics(ground.kafka) as clients:
            return await work(clients)

    return asyncio.run(run())


if __name__ == "__main__":
    main(prog_name="./dev bench")
