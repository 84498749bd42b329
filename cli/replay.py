"""`loanrouter replay`: decide a recorded log again, byte for byte."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import click

from agents.recorded import Log
from agents.replay import replay as replay_log
from cli.kafka import ask
from cli.main import settings_from_env
from cli.recorded import from_files, from_kafka, parquet_option, progress_bar
from config.load import load_file
from config.problems import ConfigError
from config.revisions import first_revision
from config.rotation import Revision
from config.settings import Settings
from streams.archive import ArchiveError
from streams.log import LogError, LogRecord, log_line


@click.command()
@click.argument("log", type=click.File("rb"), required=False)
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The configuration, for a log without (this) one.",
)
@click.option("--save", type=click.File("wb"), help="Write the log here as JSON lines, to replay it again.")
@parquet_option
@click.option("--check", is_flag=True, help="Compare with the recorded decisions; exit code 1 when one differs.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON summary instead of the decisions.")
def replay(
    log: BinaryIO | None,
    config_path: Path | None,
    save: BinaryIO | None,
    parquet: Path | None,
    check: bool,
    as_json: bool,
) -> None:
    """Print the decisions of LOG (JSON lines; - for standard input), or of what is on Kafka, one a line.

    A line holds topic, partition, offset, timestamp, key, headers and value. Recorded decisions in the log tell
    what each reservation brought; without them reservations are made in memory.
    """
    settings = settings_from_env()
    try:
        given = from_files(settings, log, parquet)
        records = ask(settings, on_kafka(settings)) if given is None else list(given)
        if save is not None:
            save.writelines(map(log_line, records))
        recorded = Log(records, _configuration(config_path))
        known = recorded.recorded()
    except (ConfigError, LogError, ArchiveError) as error:
        raise click.UsageError(str(error)) from None
    except ValueError as error:
        raise click.UsageError(f"the log cannot be replayed: {error}") from None
    replayed = decide(settings, recorded, quiet=check or as_json)
    if not check:
        if as_json:
            click.echo(json.dumps({"decisions": len(replayed)}))
        return
    others = differing(known, replayed)
    if as_json:
        click.echo(json.dumps({"decisions": len(replayed), "recorded": len(known), "differing": others}))
    else:
        click.echo(f"{len(replayed)} decisions replayed, {len(known)} recorded, {len(others)} differ")
        for decision_id in others:
            click.echo(f"  {decision_id}")
    if others:
        raise SystemExit(1)


def differing(known: Mapping[str, bytes], replayed: Mapping[str, bytes]) -> list[str]:
    """The decisions (by id) that are not the same bytes, or of which only one side knows."""
    return sorted(key for key in known.keys() | replayed.keys() if known.get(key) != replayed.get(key))


def decide(settings: Settings, log: Log, *, quiet: bool) -> dict[str, bytes]:
    """Every decision of the log, made again, by id; printed as well unless `quiet`."""
    decided: dict[str, bytes] = {}
    with progress_bar("Replaying", len(log.decisions)) as (advance, _):
        for decision_id, value in replay_log(settings, log):
            decided[decision_id] = value
            advance(1)
            if not quiet:
                click.echo(value)
    return decided


def _configuration(path: Path | None) -> Revision | None:
    return None if path is None else first_revision(load_file(path))


async def on_kafka(settings: Settings) -> list[LogRecord]:
    """Every record that a replay needs, as far as the topics reach now."""
    return [record async for record in from_kafka(settings)]
