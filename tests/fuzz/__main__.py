"""`./dev fuzz`: many spoilt inputs for every parser."""

import json
import logging
import sys
from random import Random
from time import monotonic

import click

from tests.fuzz.run import Broken, fuzz


@click.command()
@click.option("--inputs", type=click.IntRange(1), default=1_000_000, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), help="Of all chance in the run; another one each time when left out.")
@click.option("--first", type=click.IntRange(0), default=0, help="Number of the first input, to begin in mid-run.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON instead of a table.")
def main(inputs: int, seed: int | None, first: int, as_json: bool) -> None:
    """Feed spoilt input to every parser: none may raise but to refuse, and what is refused changes nothing.

    Exit code 1 at the first that does otherwise, with the options that make it again.
    """
    logging.disable(logging.CRITICAL)  # each refusal is logged
    seed = Random().randrange(1_000_000) if seed is None else seed
    began = monotonic()
    try:
        with click.progressbar(length=inputs, label=f"seed {seed}", update_min_steps=500, file=sys.stderr) as bar:
            fed = fuzz(seed, first, inputs, lambda: bar.update(1))
    except Broken as error:
        logging.disable(logging.NOTSET)
        logging.exception("%s", error)
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps({"seed": seed, "seconds": round(monotonic() - began), **fed._asdict()}))
        return
    for name, number in fed.inputs.items():
        click.echo(f"{name:<32} {number:>9,} inputs  {fed.taken[name]:>9,} taken")
    click.echo(f"{sum(fed.inputs.values()):,} inputs of seed {seed} in {monotonic() - began:,.0f} s: no parser broke")


if __name__ == "__main__":
    main()
