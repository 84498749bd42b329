"""Where a command takes recorded traffic from: Kafka, a log of JSON lines, or an archive of `loanrouter export`."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from config.settings import Settings
from streams.archive import read_archive
from streams.log import LogRecord, read_log
from streams.reading import read_topics
from streams.topics import BORROWER_INPUTS

RECORDED = (*BORROWER_INPUTS, "rotation-config", "funder-states", "routing-decisions", "dead-letters")
#: What happened to drawdowns. The others tell what stands, however long ago it was told.
_HAPPENED = ("drawdown-requests", "drawdown-outcomes", "repayments", "routing-decisions")

Advance = Callable[[int], None]
Total = Callable[[int], None]

parquet_option = click.option(
    "--parquet",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read this folder, which `loanrouter export` wrote.",
)


async def from_kafka(
    settings: Settings, total: Total = lambda _: None, since: int | None = None
) -> AsyncIterator[LogRecord]:
    """Every record that a replay needs, as far as the topics reach now; `total` is told about how many.

    With `since` (ms) what happened to drawdowns is read from then on only.
    """
    times = None if since is None else dict.fromkeys(_HAPPENED, since)
    async for record in read_topics(settings, RECORDED, total, times):
        yield record


def from_files(settings: Settings, log: BinaryIO | None, parquet: Path | None) -> Iterator[LogRecord] | None:
    """The records of the file or folder that was named; None when none was: then Kafka is meant.

    Raises `streams.log.LogError` or `streams.archive.ArchiveError`, also while they are read.
    """
    if log is not None and parquet is not None:
        raise click.UsageError("a log and --parquet: give one of them")
    if parquet is not None:
        return read_archive(parquet)
    return None if log is None else read_log(log, settings, getattr(log, "name", "<stdin>"))


@contextmanager
def progress_bar(what: str, total: int | None = None, *, lines: bool = False) -> Iterator[tuple[Advance, Total]]:
    """A progress bar on standard error, which only a terminal shows: what advances it, and what sets its end.

    With `lines` it is a line for each hundredth instead, for programs: what, how many are done, of how many.
    """
    if lines:
        yield _progress_lines(what, total or 0)
        return
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total or None)
        yield (lambda steps: progress.advance(task, steps)), (lambda end: progress.update(task, total=end))


def _progress_lines(what: str, end: int) -> tuple[Advance, Total]:
    done = said = 0

    def advance(steps: int) -> None:
        nonlocal done, said
        done += steps
        if end and done * 100 // end > said:
            said = done * 100 // end
            click.echo(f"{what} {done} {end}", err=True)

    def set_end(total: int) -> None:
        nonlocal end
        end = total

    return advance, set_end
