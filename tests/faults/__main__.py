"""`./dev faults`: plays faults against workers under load, and writes what came of them."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

import click
from rich.console import Console
from rich.table import Table

from bench.machine import this_machine
from tests.brokers import ApacheCluster, ApacheKafka
from tests.faults import results
from tests.faults.faults import FAULTS
from tests.faults.play import play
from tests.faults.results import HEAD, Result

#: What a fault is played on, by its number of brokers.
GROUNDS: dict[int, Callable[[], AbstractContextManager[ApacheKafka | ApacheCluster]]] = {
    1: ApacheKafka,
    3: ApacheCluster,
}


@click.command(epilog="NAMES: " + "; ".join(f"{name} = {fault.done}" for name, fault in FAULTS.items()))
@click.argument("names", nargs=-1, metavar="[NAMES]...", type=click.Choice(list(FAULTS)))
@click.option("--seed", type=click.IntRange(0), help="Of all chance in the run; another one each time when left out.")
@click.option("--rounds", type=click.IntRange(1), help="How often each fault is done, instead of its own number.")
@click.option("--report", is_flag=True, help="Play nothing, write the document again from the results that are kept.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON instead of a table.")
@click.option(
    "--results",
    "path",
    default="docs/reliability.json",
    show_default=True,
    type=click.Path(path_type=Path),
    help="File that keeps the results; what is not played now stays as it is. The document is written beside it.",
)
def main(names: tuple[str, ...], seed: int | None, rounds: int | None, report: bool, as_json: bool, path: Path) -> None:
    """Play the faults NAMES (all when left out), each with workers under load and the ledger checked in the end.

    Exit code 1 when one did not end as expected; its seed plays it again.
    """
    logging.basicConfig(level=logging.CRITICAL)  # clients of the harness; workers have logs of their own
    seed = Random().randrange(1_000_000) if seed is None else seed
    document, played = path.with_suffix(".md"), {}
    if report:
        document.write_text(results.markdown(results.read(path)))
        return
    for result in _play(names or tuple(FAULTS), seed, rounds):
        played[result.fault] = result
        kept = results.read(path) | {result.fault: result}
        path.write_text(results.encode(kept))
        document.write_text(results.markdown(kept))
        if not result.passed:
            again = f"./dev faults {result.fault} --seed {result.seed} --rounds {result.times}"
            click.echo(f"{result.fault} failed; it can be played again by: {again}", err=True)
    if as_json:
        click.echo(results.encode(played), nl=False)
    else:
        _show(list(played.values()))
    if not all(result.passed for result in played.values()):
        raise SystemExit(1)


def _play(names: tuple[str, ...], seed: int, rounds: int | None) -> Iterator[Result]:
    for brokers, kind in GROUNDS.items():
        wanted = [name for name in FAULTS if name in names and FAULTS[name].brokers == brokers]
        if not wanted:
            continue
        with kind() as kafka:
            for name in wanted:
                click.echo(f"{name} …", err=True)
                with tempfile.TemporaryDirectory(prefix="loanrouter-fault-") as folder:
                    yield play((name,), kafka, Path(folder), seed, rounds, this_machine())


def _show(played: list[Result]) -> None:
    table = Table(*HEAD)
    for result in played:
        table.add_row(*results.row(result))
    Console().print(table)
    for result in played:
        for problem in result.problems:
            click.echo(f"{result.fault}: {problem}")


if __name__ == "__main__":
    main(prog_name="./dev faults")
