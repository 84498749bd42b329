"""`loanrouter config watch`: the guardrail of revisions that are let in by steps."""

import asyncio
import json
from collections.abc import Container
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
from rotation.events import DrawdownOutcome
from rotation.outputs import Decision
from streams.codec import decode
from streams.config_log import KafkaLog, RecordRefused, write
from streams.ending import asked_to_end
from streams.log import LogRecord
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
    help="How many drawdowns inside and outside of the share there must be before a ramp is stopped.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each stop as a JSON object on a line.")
def watch(least: int, as_json: bool) -> None:
    """Stop a ramp whose borrowers fare worse than the others.

    Until SIGTERM or Ctrl-C. It withdraws the draft, which takes all borrowers back to the revision before it. The
    author is "guardrail", the reason has the numbers. On standard error it says what it cannot tell of yet, and why.
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
    silent: set[str] = set()
    async with following(settings, ["routing-decisions", "drawdown-outcomes"]) as flow:
        async for records, caught_up in flow.batches:
            if stop.is_set() or followed.done():
                return
            if ramp != (now := follower.state.scheduled):
                ramp, guardrail, silent = now, _guardrail(follower.state, least), set()
            if guardrail is None or ramp is None:
                continue
            known = {funder.id for funder in follower.state.revisions[ramp.revision].config.funders}
            for record in records:
                _take(guardrail, record, known)
            if not caught_up:
                continue  # of one topic more may be known than of the other
            if (why := guardrail.objection()) is not None:
                await _stop(settings, ramp, why, as_json)
                guardrail = None
            elif (of := guardrail.silent()).keys() != silent:
                silent = set(of)
                for what, why in of.items():
                    click.echo(f"{ramp.draft}: of {what} nothing can be said yet: {why}", err=True)
                if not of:
                    click.echo(f"{ramp.draft}: all is watched", err=True)


def _take(guardrail: Guardrail, record: LogRecord, known: Container[str]) -> None:
    """What no worker wrote, or could use, counts for nothing."""
    if record.topic == "routing-decisions":
        with suppress(msgspec.DecodeError):
            guardrail.take(_decoder.decode(record.value or b""))
        return
    outcome = decode(record.topic, record.key, record.value, record.timestamp, known_funders=known, latest=None)
    if isinstance(outcome, DrawdownOutcome):
        guardrail.take_outcome(outcome, record.timestamp)


def _guardrail(state: Lifecycle, least: int) -> Guardrail | None:
    """The one for the ramp that is on its way, if one is."""
    if state.scheduled is None or not state.scheduled.steps or state.active is None:
        return None
    begin, _ = state.scheduled.steps[0]
    old, new = state.active, state.revisions[state.scheduled.revision]
    patience = 1000 * max(each.config.reservation.ttl_seconds for each in (old, new))
    return Guardrail(old.id, new.id, rfc3339(begin), least, patience)


async def _stop(settings: Settings, ramp: Scheduled, why: str, as_json: bool) -> None:
    withdrawal = Withdrawal(author=AUTHOR, reason=why, occurred_at=datetime.now(UTC), draft=ramp.draft)
    with suppress(RecordRefused):  # somebody else was first
        _, written = await write(KafkaLog(settings), lambda _: withdrawal)
        told = {"offset": written.entry.offset, "draft": ramp.draft, "void": written.entry.void, "reason": why}
        click.echo(json.dumps(told) if as_json else f"{ramp.draft} is withdrawn: {why}")
