"""`./dev bench`: every performance figure, side by side on one machine."""

import asyncio
import logging
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as RichTable

from bench import job, results
from bench.compare import Comparison, compare
from bench.ground import Servers, servers, topics
from bench.profile import Profile
from bench.results import Compared, Results, this_machine
from bench.rule import comparison as rule
from bench.run import Companion
from bench.tables import Table, compared

WHATS = {
    "job": "the full job: loanrouter against plain Faust",
    "rule": "a small keyed rule with state: our stream against its peers",
}
_COMPARISONS = {"job": job.comparison, "rule": rule.comparison}
_EVENTS = {"job": 120_000, "rule": 600_000}


@click.command(epilog="WHAT: " + "; ".join(f"{what} = {meaning}" for what, meaning in WHATS.items()))
@click.argument("whats", nargs=-1, metavar="[WHAT]...", type=click.Choice(list(WHATS)))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Rounds of all engines in turn.")
@click.option(
    "--events",
    type=click.IntRange(100),
    help=f"Requests that the quick engines decide; {', '.join(f'{n:,} for {what}' for what, n in _EVENTS.items())}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON instead of tables.")
@click.option(
    "--results",
    "path",
    default="build/bench.json",
    show_default=True,
    type=click.Path(path_type=Path),
    help="File that keeps the results; what was not measured now stays as it is. `./dev bench report` reads it.",
)
@click.option("--profile", is_flag=True, help="Instead of comparing, show what our worker spends its time on.")
def main(whats: tuple[str, ...], rounds: int, events: int | None, as_json: bool, path: Path, profile: bool) -> None:
    """Measure WHAT (all of it when left out) on one Apache Kafka and one Redis, engines in turn."""
    logging.basicConfig(level=logging.CRITICAL)  # clients of the harness; engines have logs of their own
    kept = results.read(path)
    with servers() as ground:
        if profile:
            _profile(ground, events or _EVENTS["job"])
            return
        for what in whats or WHATS:
            comparison = _COMPARISONS[what](ground.folder, events or _EVENTS[what])
            setattr(kept, what, _compare(comparison, ground, rounds))
            results.write(path, kept)
    if as_json:
        click.echo(results.encode(kept), nl=False)
    else:
        _show(kept)


def _profile(ground: Servers, events: int) -> None:
    profile = Profile(ground.folder)
    ours = job.comparison(ground.folder, events)._replace(engines=[job.OURS])
    _compare(ours, ground, 1, profile.during)
    for line in profile.lines():
        click.echo(line)


def _compare(comparison: Comparison, ground: Servers, rounds: int, companion: Companion | None = None) -> Compared:
    machine = this_machine()

    async def work() -> Compared:
        async with topics(ground.kafka) as clients:
            measured = await compare(ground, clients, comparison, rounds, companion)
        return Compared(machine, {engine.name: engine.title for engine in comparison.engines}, measured)

    return asyncio.run(work())


def _show(kept: Results) -> None:
    for title, section in (("The full job", kept.job), ("A keyed rule", kept.rule)):
        if section is not None:
            _print(compared(title, section))


def _print(table: Table) -> None:
    shown = RichTable(title=table.title, title_justify="left")
    for number, column in enumerate(table.head):
        shown.add_column(column, justify="right" if number else "left")
    for row in table.rows:
        shown.add_row(*row)
    Console().print(shown)


if __name__ == "__main__":
    main(prog_name="./dev bench")
