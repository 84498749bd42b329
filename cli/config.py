"""`loanrouter config`: check, show and compare rotation configurations, and tell their history."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
from aiokafka.errors import UnknownTopicOrPartitionError

from cli.config_change import VERBS
from cli.config_log import config_log
from cli.config_watch import watch
from cli.kafka import ask
from cli.main import settings_from_env
from config.difference import differences
from config.document import read_json
from config.lifecycle import Entry, Lifecycle
from config.load import load_file
from config.problems import ConfigError
from config.records import Record
from config.revisions import TOPIC, first_revision
from config.revisions import rfc3339 as written_time
from config.rotation import Revision
from config.settings import Settings
from config.written import yaml_text
from streams.config_log import read_log


@click.group()
def config() -> None:
    """Check, show, compare and change rotation configurations."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with the list of problems and the hash.")
def check(file: Path, as_json: bool) -> None:
    """Check the configuration in FILE.

    Prints file:line: key: reason for each problem, and ends with 2 when there is one.
    """
    try:
        revision = first_revision(load_file(file))
    except ConfigError as error:
        if as_json:
            problems = [problem._asdict() for problem in error.problems]
            click.echo(json.dumps({"problems": problems, "config_sha256": None}, ensure_ascii=False))
        else:
            click.echo(str(error), err=True)
        raise SystemExit(2) from None
    if as_json:
        click.echo(json.dumps({"problems": [], "config_sha256": revision.sha256}))
    else:
        config = revision.config
        held = f", {len(config.examples)} examples hold" if config.examples else ""
        click.echo(f"{file}: good, {len(config.funders)} funders{held}, config_sha256 {revision.sha256}")


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def show(as_json: bool) -> None:
    """Show the active revision, as a file that `config check` takes.

    It is read from the topic rotation-config; while that is empty it is the file LOANROUTER_CONFIG, as revision 1.
    """
    settings = settings_from_env()
    try:
        active = ask(settings, _from_log(settings)) or _from_file(settings)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    about = active.about()
    if as_json:
        click.echo(json.dumps({**about, "config": read_json(active.revision.canonical)}, ensure_ascii=False))
        return
    for name, value in about.items():
        if value is not None:
            click.echo(f"# {name}: {json.dumps(value, ensure_ascii=False)}")
    click.echo(yaml_text(active.revision), nl=False)


@config.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of changes.")
def diff(before: str, after: str, as_json: bool) -> None:
    """Tell in words what B changes of A, and for which funders.

    Each is a file, the id of a revision or of an open draft, or the word active.
    """
    changes = differences(*_each_of(before, after))
    if as_json:
        click.echo(json.dumps([change._asdict() for change in changes], ensure_ascii=False))
        return
    for change in changes:
        click.echo(str(change))
    if not changes:
        click.echo("both say the same")


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of records.")
def log(as_json: bool) -> None:
    """Tell what was done to the configuration, by whom and why.

    Oldest first.

    Then the drafts that are open.
    """
    settings = settings_from_env()
    state, entries = ask(settings, read_log(config_log(settings)))
    if as_json:
        click.echo(json.dumps([_about(entry) for entry in entries], ensure_ascii=False))
        return
    for entry in entries:
        told = _about(entry)
        outcome = f"  refused: {entry.refused}" if entry.refused is not None else ""
        made = f" → revision {entry.revision}" if entry.revision is not None else ""
        made += f" from {told['at']}" if told["at"] is not None else ""
        if told["ramp"] is not None:
            shares = ", ".join(map(str, told["ramp"]["shares"]))
            made += f" by steps ({shares}% of the borrowers, one every {told['ramp']['every_seconds']} s)"
        made += f", revision {entry.void} is void" if entry.void is not None else ""
        subject = " ".join(str(told[name]) for name in ("draft", "funder_id", "to") if told[name] is not None)
        what = " ".join(part for part in (told["kind"] or "unreadable", subject) if part)
        who = f"  {told['author']}: {told['reason']}" if told["author"] is not None else ""
        click.echo(f"{entry.offset:>5}  {told['occurred_at'] or '':24}  {what}{made}{who}{outcome}")
    for draft in state.drafts.values():
        approved = ", ".join(draft.approvals) or "nobody yet"
        moved = "" if state.active is not None and draft.base == state.active.id else ", which is active no more"
        waits = state.scheduled if state.scheduled is not None and state.scheduled.draft == draft.id else None
        becomes = "" if waits is None else f"; becomes revision {waits.revision} at {written_time(waits.since)}"
        steps = () if waits is None else waits.steps
        becomes += "".join(f", for {share}% from {written_time(at)}" for at, share in steps)
        click.echo(
            f"open draft {draft.id} on revision {draft.base}{moved}: written by {', '.join(draft.authors)},"
            f" approved by {approved}{becomes}"
        )


for _verb in (*VERBS, watch):
    config.add_command(_verb)


def _about(entry: Entry) -> dict[str, Any]:
    record = entry.record
    named = {name: getattr(record, name, None) for name in ("kind", "author", "reason", "draft", "funder_id", "to")}
    signed_at = None if record is None else written_time(record.occurred_at)
    at = getattr(record, "at", None)
    sha256 = getattr(record, "config_sha256", None)
    return {
        "offset": entry.offset,
        "occurred_at": signed_at,
        **named,
        "config_sha256": sha256,
        "revision": entry.revision,
        "at": None if at is None else written_time(at),
        "ramp": msgspec.to_builtins(getattr(record, "ramp", None)),
        "void": entry.void,
        "refused": entry.refused,
    }


def _each_of(*names: str) -> list[Revision]:
    """The revisions that these names mean; Kafka is asked only when one is no file."""
    stands: Lifecycle | None = None
    found: list[Revision] = []
    for name in names:
        if Path(name).is_file():
            try:
                found.append(first_revision(load_file(Path(name))))
            except ConfigError as error:
                raise click.UsageError(str(error)) from None
            continue
        if stands is None:
            settings = settings_from_env()
            stands = ask(settings, read_log(config_log(settings))).state
        draft = stands.drafts.get(name)
        number = int(name) if name.isdecimal() else 0
        revision = stands.active if name == "active" else stands.revisions.get(number)
        revision = revision if draft is None else draft.revision
        if revision is None:
            raise click.UsageError(f"{name} is no file, no revision and no open draft")
        found.append(revision)
    return found


class _Active(NamedTuple):
    revision: Revision
    source: str
    record: Record | None = None
    refused: int = 0

    def about(self) -> dict[str, Any]:
        return {
            "revision": self.revision.id,
            "config_sha256": self.revision.sha256,
            "source": self.source,
            "author": self.record and self.record.author,
            "reason": self.record and self.record.reason,
            "occurred_at": self.record and written_time(self.record.occurred_at),
            "refused_records": self.refused,
        }


async def _from_log(settings: Settings) -> _Active | None:
    try:
        state, entries = await read_log(config_log(settings))
    except UnknownTopicOrPartitionError:
        return None
    if state.active is None:
        return None
    record = next(entry.record for entry in entries if entry.revision == state.active.id)
    return _Active(state.active, TOPIC, record, sum(entry.refused is not None for entry in entries))


def _from_file(settings: Settings) -> _Active:
    return _Active(first_revision(load_file(settings.config)), f"{settings.config}, since {TOPIC} holds no revision")
