"""`loanrouter config watch`: the guardrail of revisions that are let in by steps."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime

import click
import msgspec

from cli.kafka import ask
from cli.main import settings_from_env
from config.lifecycle import Lifecycle, Scheduled
from config.records import Withdrawal
from config.revisions import rfc3339
from config.settings import Settings
from console.follower import Follower
from rotation.outputs import Decision
from streams.config_log import KafkaLog, RecordRefused, write
from streams.ending import asked_to_end
from streams.reading import following
from whatif.guardrail import Guardrail

AUTHOR = "guardrail"
_decoder = msgspec.json.Decoder(Decision)


@click.command()
@click.option(
    "--least",
    type=click.IntRange(min=30),
    default=100,
    show_default=True,
    help="How many decisions inside and outside of the share there must be before a ramp is stopped.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each stop as a JSON object on a line.")
def watch(least: int, as_json: bool) -> None:
    """Stop a ramp whose borrowers fare worse than the others.

    Until SIGTERM or Ctrl-C. It withdraws the draft, which takes all borrowers back to the revision before it. The
    author is "guardrail", the reason has the numbers.
    """
    settings = settings_from_env()
    ask(settings, _watch(settings, least, as_json))


async def _watch(settings: Settings, least: int, as_json: bool) -> None:
    stop = asked_to_end()
    follower = Follower(settings)
    try:
        await follower.start()
        followed = asyncio.create_task(follower.run())
        try:
            await _guard(settings, follower, followed, stop, least=least, as_json=as_json)
        finally:
            followed.cancel()
            with suppress(asyncio.CancelledError):
                await followed
    finally:
        await follower.stop()


async def _guard(
    settings: Settings,
    follower: Follower,
    followed: asyncio.Task[None],
    stop: asyncio.Event,
    *,
    least: int,
    as_json: bool,
) -> None:
    """Look at each decision, and stop what is to be stopped, until `stop` is set or the log cannot be `followed`."""
    ramp: Scheduled | None = None
    guardrail: Guardrail | None = None
    async with following(settings, ["routing-decisions"]) as flow:
        async for records, _ in flow.batches:
            if stop.is_set() or followed.done():
                return
            if ramp != (now := follower.state.scheduled):
                ramp, guardrail = now, _guardrail(follower.state, least)
            if guardrail is None or ramp is None:
                continue
            for record in records:
                with suppress(msgspec.DecodeError):  # no worker wrote it
                    guardrail.take(_decoder.decode(record.value or b""))
            if (why := guardrail.objection()) is not None:
                await _stop(settings, ramp, why, as_json)
                guardrail = None


def _guardrail(state: Lifecycle, least: int) -> Guardrail | None:
    """The one for the ramp that is on its way, if one is."""
    if state.scheduled is None or not state.scheduled.steps or state.active is None:
        return None
    begin, _ = state.scheduled.steps[0]
    return Guardrail(state.active.id, state.scheduled.revision, rfc3339(begin), least)


async def _stop(settings: Settings, ramp: Scheduled, why: str, as_json: bool) -> None:
    withdrawal = Withdrawal(author=AUTHOR, reason=why, occurred_at=datetime.now(UTC), draft=ramp.draft)
    with suppress(RecordRefused):  # somebody else was first
        _, written = await write(KafkaLog(settings), lambda _: withdrawal)
        told = {"offset": written.entry.offset, "draft": ramp.draft, "void": written.entry.void, "reason": why}
        click.echo(json.dumps(told) if as_json else f"{ramp.draft} is withdrawn: {why}")
