"""`loanrouter shadow`: a draft decides live traffic beside the active revision, without effect."""

import asyncio
import logging
import time
from datetime import UTC, datetime

import click
import msgspec
from redis.exceptions import RedisError

from cli.kafka import ask
from cli.main import settings_from_env
from cli.tables import show
from cli.what_if import named_revision
from config.problems import ConfigError
from config.revisions import rfc3339
from config.rotation import Revision
from config.settings import Settings
from console.shadows import Shadows
from streams.config_log import KafkaLog, read_log
from streams.ending import asked_to_end
from streams.reading import following
from whatif.shadow import FOLLOWED, Shadow
from whatif.shadow_told import Watch, tables

_POST_SECONDS = 2.0

log = logging.getLogger("loanrouter.shadow")


@click.command()
@click.argument("draft")
@click.option(
    "--seconds", type=click.IntRange(min=1), help="End so long after the beginning; by default at SIGTERM or Ctrl-C."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was seen, with the differing decisions, as JSON.")
def shadow(draft: str, seconds: int | None, as_json: bool) -> None:
    """Decide live traffic under DRAFT too, without effect, and tell what differs.

    DRAFT is a file, the id of an open draft or of a revision, or the word active.

    First it reads what the topics hold, to know the borrowers. The console shows how it goes.
    """
    settings = settings_from_env()
    try:
        watch = ask(settings, _watch(settings, draft, seconds))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(msgspec.json.encode(watch))
        return
    show(tables(watch.seen))
    for each in watch.seen.differing:
        sides = " → ".join(side.funder_id or "held" for side in (each.active, each.draft))
        click.echo(f"{each.decided_at}  {each.decision_id}  {each.kind}: {sides}")
    if watch.seen.unjudged:
        click.echo(f"Taken to have room, since the draft changes quota or guarantee: {', '.join(watch.seen.unjudged)}")


async def _watch(settings: Settings, name: str, seconds: int | None) -> Watch:
    revision = named_revision(name, (await read_log(KafkaLog(settings))).state)
    stop = asked_to_end()
    shadows = Shadows.connect(settings)
    try:
        return await _follow(settings, revision, shadows, stop, seconds)
    finally:
        await shadows.aclose()


async def _follow(
    settings: Settings, revision: Revision, shadows: Shadows, stop: asyncio.Event, seconds: int | None
) -> Watch:
    async with following(settings, FOLLOWED) as flow:
        shadow = Shadow(revision, flow.begins, flow.ends)
        since, began, posted = "", 0.0, 0.0
        async for records, caught_up in flow.batches:
            for record in records:
                shadow.take(record)
            shadow.go_on()
            if caught_up and not since:
                since, began = rfc3339(datetime.now(UTC)), time.monotonic()
                click.echo(f"in the shadow of the active revision since {since}", err=True)
            ends = stop.is_set() or (since and seconds is not None and time.monotonic() >= began + seconds)
            if ends or time.monotonic() >= posted + _POST_SECONDS:
                posted = time.monotonic()
                watch = Watch(revision.sha256, since or None, rfc3339(datetime.now(UTC)), shadow.seen())
                if since:
                    await _post(shadows, watch)
                if ends:
                    return watch
        raise AssertionError("topics are followed for ever")


async def _post(shadows: Shadows, watch: Watch) -> None:
    try:
        await shadows.post(watch)
    except RedisError as error:
        log.warning("the console is not told: %s", type(error).__name__)
