"""`loanrouter replay`: decide a recorded log again, byte for byte."""

import json
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import Progress

from agents.replay import Log
from agents.replay import replay as replay_log
from cli.kafka import ask
from cli.main import settings_from_env
from config.load import load_file
from config.problems import ConfigError
from config.revisions import first_revision
from config.rotation import Revision
from config.settings import Settings
from streams.log import LogError, LogRecord, log_line, read_log
from streams.reading import read_topics
from streams.topics import BORROWER_INPUTS

RECORDED = (*BORROWER_INPUTS, "rotation-config", "funder-states", "routing-decisions", "dead-letters")


@click.command()
@click.argument("log", type=click.File("rb"), required=False)
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The configuration, for a log without (this) one.",
)
@click.option("--save", type=click.File("wb"), help="Write the log here as JSON lines, to replay it again.")
@click.option("--check", is_flag=True, help="Compare with the recorded decisions; exit code 1 when one differs.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON summary instead of the decisions.")
def replay(log: BinaryIO | None, config_path: Path | None, save: BinaryIO | None, check: bool, as_json: bool) -> None:
    """Print the decisions of LOG (JSON lines; - for standard input), or of what is on Kafka, one a line.

    A line holds topic, partition, offset, timestamp, key, headers and value. Recorded decisions in the log tell
    what each reservation brought; without them reservations are made in memory.
    """
    settings = settings_from_env()
    try:
        records = list(read_log(log, settings)) if log else ask(settings, _recorded(settings))
        if save is not None:
            save.writelines(map(log_line, records))
        recorded = Log(records, _configuration(config_path))
        known = recorded.recorded()
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except (LogError, ValueError) as error:
        raise click.UsageError(f"the log cannot be replayed: {error}") from None
    replayed = _decide(settings, recorded, quiet=check or as_json)
    if not check:
        if as_json:
            click.echo(json.dumps({"decisions": len(replayed)}))
        return
    differing = sorted(key for key in known.keys() | replayed.keys() if known.get(key) != replayed.get(key))
    if as_json:
        click.echo(json.dumps({"decisions": len(replayed), "recorded": len(known), "differing": differing}))
    else:
        click.echo(f"{len(replayed)} decisions replayed, {len(known)} recorded, {len(differing)} differ")
        for decision_id in differing:
            click.echo(f"  {decision_id}")
    if differing:
        raise SystemExit(1)


def _decide(settings: Settings, log: Log, *, quiet: bool) -> dict[str, bytes]:
    decided: dict[str, bytes] = {}
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Replaying", total=len(log.decisions) or None)
        for decision_id, value in replay_log(settings, log):
            decided[decision_id] = value
            progress.advance(task)
            if not quiet:
                click.echo(value)
    return decided


def _configuration(path: Path | None) -> Revision | None:
    return None if path is None else first_revision(load_file(path))


async def _recorded(settings: Settings) -> list[LogRecord]:
    return [record async for record in read_topics(settings, RECORDED)]
