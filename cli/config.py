"""`loanrouter config`: check a rotation configuration, show the active one."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml
from aiokafka.errors import UnknownTopicOrPartitionError

from cli.kafka import ask
from cli.main import settings_from_env
from config.document import read_json
from config.load import load_file
from config.problems import ConfigError
from config.revisions import TOPIC, RevisionRecord, apply_record, first_revision, read_record
from config.rotation import Revision
from config.settings import Settings
from rotation.clock import rfc3339
from rotation.events import millis
from streams.reading import read_topics


@click.group()
def config() -> None:
    """Check and show rotation configurations."""


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
        click.echo(f"{file}: good, {len(revision.config.funders)} funders, config_sha256 {revision.sha256}")


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
    document = read_json(active.revision.canonical)
    if as_json:
        click.echo(json.dumps({**about, "config": document}, ensure_ascii=False))
        return
    for name, value in about.items():
        if value is not None:
            click.echo(f"# {name}: {json.dumps(value, ensure_ascii=False)}")
    click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120), nl=False)


class _Active(NamedTuple):
    revision: Revision
    source: str
    record: RevisionRecord | None = None
    refused: int = 0

    def about(self) -> dict[str, Any]:
        return {
            "revision": self.revision.id,
            "config_sha256": self.revision.sha256,
            "source": self.source,
            "author": self.record and self.record.author,
            "reason": self.record and self.record.reason,
            "occurred_at": self.record and rfc3339(millis(self.record.occurred_at)),
            "refused_records": self.refused,
        }


async def _from_log(settings: Settings) -> _Active | None:
    revision, accepted, refused = None, b"", 0
    try:
        async for record in read_topics(settings, [TOPIC]):
            value = record.value or b""
            try:
                following = apply_record(revision, value)
            except ConfigError:
                refused += 1  # as the workers do: what was before it stays active
                continue
            if following is not revision:
                revision, accepted = following, value
    except UnknownTopicOrPartitionError:
        return None
    return None if revision is None else _Active(revision, TOPIC, read_record(accepted), refused)


def _from_file(settings: Settings) -> _Active:
    return _Active(first_revision(load_file(settings.config)), f"{settings.config}, since {TOPIC} holds no revision")
