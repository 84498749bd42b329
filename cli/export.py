"""`loanrouter export`: recorded traffic as Parquet, for replay, for what-if, and for people's own tools."""

import json
from pathlib import Path
from typing import BinaryIO

import click

from cli.kafka import ask
from cli.main import settings_from_env
from cli.recorded import from_files, from_kafka, progress_bar
from config.settings import Settings
from streams.archive import ArchiveError, ArchiveWriter, Summary
from streams.log import LogError


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--log", type=click.File("rb"), help="Read this log of JSON lines instead of Kafka; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Print how many records of each topic were written as JSON.")
def export(folder: Path, log: BinaryIO | None, as_json: bool) -> None:
    """Write all that a replay needs, as far as it reaches now, into the empty or new FOLDER as Parquet.

    A file for each topic and partition, a row for each record: topic, partition, offset, timestamp, key, headers,
    value. These are customers' data.
    """
    try:
        summary = archive(settings_from_env(), folder, log)
    except (LogError, ArchiveError) as error:
        raise click.UsageError(str(error)) from None
    counts = {topic: sum(records.values()) for topic, records in summary.records.items()}
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "records": counts}))
        return
    for topic, count in counts.items():
        click.echo(f"{topic:20} {count:>12,}")
    click.echo(f"{folder}: {sum(counts.values()):,} records")


def archive(
    settings: Settings, folder: Path, log: BinaryIO | None, *, since: int | None = None, lines: bool = False
) -> Summary:
    """Write Kafka's records, or those of a log, into a folder; raises `LogError` or `ArchiveError`.

    `since` is that of `from_kafka`.
    """
    records = from_files(settings, log, None)
    with ArchiveWriter(folder) as writer, progress_bar("Exporting", lines=lines) as (advance, total):

        async def write_from_kafka() -> None:
            async for record in from_kafka(settings, total, since):
                writer.write(record)
                advance(1)

        if records is None:
            ask(settings, write_from_kafka())
        else:
            for record in sorted(records, key=lambda record: (record.topic, record.partition, record.offset)):
                writer.write(record)
                advance(1)
    return writer.summary()
