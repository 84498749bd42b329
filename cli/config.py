"""`loanrouter config`: check a rotation configuration, show the active one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click
import yaml
from aiokafka.errors import KafkaError

from cli.main import settings_from_env
from config.load import load_document
from config.problems import ConfigError
from config.revisions import apply_record, first_revision
from config.rotation import Revision
from config.settings import Settings
from streams.reading import read_topics


@click.group()
def config() -> None:
    """Check and show rotation configurations."""


@config.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the problems as a JSON list.")
def check(file: Path, as_json: bool) -> None:
    """Check FILE. Prints file:line: key: reason for each problem, and ends with 2 when there is one."""
    try:
        document = load_document(file.read_text(encoding="utf-8"), str(file))
    except UnicodeDecodeError:
        raise click.UsageError(f"{file}: is not UTF-8") from None
    except ConfigError as error:
        if as_json:
            click.echo(json.dumps([problem._asdict() for problem in error.problems], ensure_ascii=False))
        else:
            click.echo(str(error), err=True)
        raise SystemExit(2) from None
    click.echo(
        "[]" if as_json else f"{file}: good, {len(document['funders'])} funders, {first_revision(document).sha256}"
    )


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def show(as_json: bool) -> None:
    """Show the active revision.

    It is read from `rotation-config`; while that is empty it is the file LOANROUTER_CONFIG, as revision 1.
    """
    settings = settings_from_env()
    try:
        number, document, source = asyncio.run(_active(settings))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except (KafkaError, OSError) as error:
        raise click.ClickException(f"the configuration cannot be read: {error}") from None
    shown = {"revision": number, "config_sha256": first_revision(document).sha256, "source": source, "config": document}
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), nl=False)


async def _active(settings: Settings) -> tuple[int, dict[str, Any], str]:
    active: Revision | None = None
    document: dict[str, Any] = {}
    async for record in read_topics(settings, ["rotation-config"]):
        try:
            revision = apply_record(active, record.value or b"")
        except ConfigError:
            continue  # as the workers do: what they refused is not active
        if revision is not active:
            active, document = revision, json.loads(record.value or b"")["config"]
    if active is not None:
        return active.id, document, "rotation-config"
    path = settings.config
    return 1, load_document(path.read_text(encoding="utf-8"), str(path)), str(path)
