"""`loanrouter what-if`: what a draft of the configuration would have done to recorded traffic, and to whom."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from cli.export import archive
from cli.main import settings_from_env
from cli.recorded import parquet_option, progress_bar
from cli.tables import show, terminal
from config.lifecycle import Lifecycle
from config.load import load_file
from config.problems import ConfigError
from config.revisions import first_revision
from config.rotation import Revision
from rotation.clock import DAY
from streams.archive import ArchiveError, read_summary
from streams.log import LogError
from whatif.history import History, read_shared
from whatif.page import page
from whatif.report import report
from whatif.run import what_if as replay_both
from whatif.tables import tables, window
from whatif.told import MOST_DAYS, Report


def _can_be_written(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    """Refuse, before the work begins, a file that cannot be written when it is done."""
    if file is not None and not file.exists():
        try:
            tempfile.TemporaryFile(dir=file.parent).close()
        except OSError as error:
            raise click.BadParameter(f"{file} cannot be written: {error.strerror}") from None
    return file


@click.command("what-if")
@click.argument("draft")
@click.option("--log", type=click.File("rb"), help="Recorded traffic: this log of JSON lines instead of Kafka.")
@parquet_option
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    help="Of Kafka: count the drawdowns of the last so many days only. As many days before them are read too, so that "
    "borrowers' loans are known.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=_can_be_written,
    help="Write a page with tables and plots here.",
)
@click.option("--progress-lines", "lines", is_flag=True, help="Tell programs on standard error how far it is.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as a JSON object.")
def what_if(
    draft: str,
    log: BinaryIO | None,
    parquet: Path | None,
    days: int | None,
    html: Path | None,
    lines: bool,
    as_json: bool,
) -> None:
    """Tell what DRAFT would have done to recorded traffic: before, after, and how sure that is.

    DRAFT is a file, or, of those in the recorded rotation-config, the id of an open draft or of a revision, or the word
    active. Traffic is read from Kafka, a log, or what `loanrouter export` wrote, which is the quickest.
    """
    if log is not None and parquet is not None:
        raise click.UsageError("--log and --parquet: give one of them")
    if days is not None and not (log is None and parquet is None):
        raise click.UsageError("--days: only of what is read from Kafka")
    since = known_since = 0
    if days is not None:
        now = time.time_ns() // 1_000_000
        since, known_since = now - days * DAY, now - 2 * days * DAY
    with ExitStack() as stack:
        try:
            folder = parquet
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loanrouter-")))
                archive(settings_from_env(), folder, log, since=known_since or None, lines=lines)
            answer = _answer(folder, draft, since, known_since, lines=lines)
        except (LogError, ArchiveError, ConfigError) as error:
            raise click.UsageError(str(error)) from None
        except ValueError as error:
            raise click.UsageError(f"the record cannot be replayed: {error}") from None
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        _show(answer)
    if html is not None:
        try:
            html.write_text(page(answer, f"What if: {draft}"), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{html} cannot be written: {error.strerror}") from None


def _answer(folder: Path, draft: str, since: int, known_since: int, *, lines: bool) -> Report:
    summary = read_summary(folder)
    shared = read_shared(folder, summary)
    revision = named_revision(draft, shared.lifecycle)
    with progress_bar("Replaying", summary.of("drawdown-requests"), lines=lines) as (advance, _):
        outcome = replay_both(folder, revision, advance, since=since)
    return report(outcome, History(shared, revision, since), known_since)


def named_revision(name: str, state: Lifecycle) -> Revision:
    """What a file, the id of an open draft or of a revision, or the word active means; raises `ConfigError`."""
    if Path(name).is_file():
        return first_revision(load_file(Path(name)))
    number = int(name) if name.isdecimal() else 0
    revision = state.active if name == "active" else state.revisions.get(number)
    draft = state.drafts.get(name)
    revision = revision if draft is None else draft.revision
    if revision is None:
        raise click.UsageError(f"{name} is no file, and no open draft or revision of the record")
    return revision


def _show(answer: Report) -> None:
    show(tables(answer))
    console = terminal()
    for sentence in window(answer):
        console.print(sentence)
    if answer.answer == "yes":
        console.print("The record can tell what this draft would have brought.")
    else:
        console.print("The record cannot tell what this draft would have brought:")
        for why in answer.why:
            console.print(f"- {why}")
