"""`loanrouter demo`: a broker, a Redis, one worker and a market of borrowers, live in the terminal."""

import asyncio
import json
import secrets
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from time import monotonic

import click
import msgspec
from rich.live import Live

from cli.kafka import ask
from cli.local import ProcessDied, kafka_option, process, redis_option, settings_of, wait_until_ready
from cli.summary import in_words, summarise
from cli.view import plain_line, screen
from config.load import load_file
from config.revisions import first_revision
from config.rotation import Revision
from config.settings import Settings
from console.keys import connect
from console.people import ROLES, People
from market.audit import audit
from market.drive import Drive, now_ms
from market.journal import Journal
from market.market import Market
from rotation.policy import Policy
from streams.ending import asked_to_end
from streams.topics import TopicsError, create_topics

_PLAIN_EVERY_SECONDS = 5.0
_REFRESH_SECONDS = 0.25
_ENDING = "ending: waiting for the decisions on what was asked last"
#: How far a worker may be behind on one topic of a borrower while it handles another, for the audit.
_SLACK_MS = 5_000


@click.command()
@click.option("--headless", is_flag=True, help="No live view: a line now and then, and the summary.")
@click.option("--seed", type=int, default=1, show_default=True, help="The market's chance.")
@click.option("--seconds", type=click.IntRange(min=1), help="Play for this time; without it until Ctrl-C.")
@click.option("--rate", type=click.FloatRange(1, 2000), default=20.0, show_default=True, help="Drawdowns a second.")
@kafka_option
@redis_option
@click.option("--console/--no-console", default=True, help="With the web console, unless another Redis is used.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON; implies --headless.")
def demo(
    headless: bool,
    seed: int,
    seconds: int | None,
    rate: float,
    kafka: str | None,
    redis_url: str | None,
    console: bool,
    as_json: bool,
) -> None:
    """Show borrowers being rotated across funders by a real worker on a real broker.

    Ends with a summary that was checked from outside, against the contract: exit code 1 when anything is unaccounted
    for or broke a rule.
    """
    began = now_ms()
    live = not (headless or as_json) and sys.stdout.isatty()
    with ExitStack() as stack:
        if started := [name for name, given in (("Kafka", kafka), ("Redis", redis_url)) if not given]:
            _say(f"starting {' and '.join(started)}")
        config = Path(str(files("market").joinpath("rotation.yaml")))
        settings = settings_of("demo", stack, kafka, redis_url, config=config, clock="wall")
        if kafka:
            _say(f"the names of the topics begin with {settings.topic_prefix}")
        try:
            ask(settings, create_topics(settings))
            with process(settings, "worker") as died:
                _say("starting a worker")
                wait_until_ready(settings, died)
                _say(f"the worker is ready after {(now_ms() - began) / 1000:.1f} s; now borrowers ask for money")
                shown = console and redis_url is None
                playing = _play(settings, died, seed, rate, seconds, live=live, console=shown)
                journal, revision, ended_at = ask(settings, playing)
                _say("stopping the worker, and auditing all that was read")
        except ProcessDied as error:
            raise click.ClickException(f"the {error}") from None
        except TopicsError as error:
            raise click.ClickException(str(error)) from None
    report = audit(journal.records, [revision], ended_at=ended_at, prefix=settings.topic_prefix, slack_ms=_SLACK_MS)
    summary = summarise(journal, report, revision, seed=seed, began=began)
    if as_json:
        told = {**msgspec.to_builtins(summary), "topic_prefix": settings.topic_prefix, "good": summary.good}
        click.echo(json.dumps(told))
    else:
        click.echo(in_words(summary))
    if not summary.good:
        raise SystemExit(1)


def _say(progress: str) -> None:
    click.echo(progress, err=True)


async def _open_console(settings: Settings, until: ExitStack) -> str:
    """Start the web console, with a user for each role; gives where it is and how to log in."""
    password = secrets.token_hex(4)
    async with connect(settings) as redis:
        people = People(redis, settings)
        for role in ROLES:
            await people.add(role, [role], password)
    until.enter_context(process(settings, "console"))
    return f"http://{settings.console_address}/ as operator, password {password}"


async def _play(
    settings: Settings,
    died: Callable[[], None],
    seed: int,
    rate: float,
    seconds: int | None,
    *,
    live: bool,
    console: bool,
) -> tuple[Journal, Revision, int]:
    stop = asked_to_end()
    revision = first_revision(load_file(settings.config))
    policy = Policy(revision, {}, -1)
    journal = Journal()

    def market(start: int) -> Market:
        return Market(revision.config, seed=seed, rate=rate, start=start)

    playing = asyncio.create_task(Drive(settings, journal).run(market, stop))
    shown = Live(screen=True, auto_refresh=False) if live else None
    begun, said, where = monotonic(), monotonic(), ""
    with ExitStack() as opened:
        if shown is not None:
            opened.enter_context(shown)
        while not playing.done():
            died()
            if console and not where and journal.first_decision_at is not None:  # so that it does not slow the start
                where = await _open_console(settings, opened)
                if shown is None:
                    _say(f"console: {where}; there are {', '.join(ROLES)}")
            elapsed = monotonic() - begun
            if seconds is not None and elapsed >= seconds:
                stop.set()
            if shown is not None:
                going_on = f"{elapsed:.0f} s, seed {seed}. Ctrl-C ends and sums up. {where}"
                status = _ENDING if stop.is_set() else going_on
                size = shown.console.size
                shown.update(
                    screen(policy, journal, now=now_ms(), size=(size.width, size.height), status=status),
                    refresh=True,
                )
            elif monotonic() - said >= _PLAIN_EVERY_SECONDS:
                said = monotonic()
                _say(plain_line(journal, elapsed))
            await asyncio.wait({playing}, timeout=_REFRESH_SECONDS)
    return journal, revision, await playing
