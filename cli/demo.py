"""`loanrouter demo`: a broker, a Redis, one worker and a market of borrowers, live in the terminal."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from time import monotonic, sleep

import click
import msgspec
from rich.live import Live

from cli.kafka import ask
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
from streams.embedded import EmbeddedKafka, EmbeddedRedis, die_with_parent, free_port
from streams.ending import asked_to_end
from streams.topics import TopicsError, create_topics

_SESSION_SECONDS = 4
_READY_SECONDS = 120
_STOP_SECONDS = 15
_PLAIN_EVERY_SECONDS = 5.0
_REFRESH_SECONDS = 0.25
_ENDING = "ending: waiting for the decisions on what was asked last"
#: How far a worker may be behind on one topic of a borrower while it handles another, for the audit.
_SLACK_MS = 5_000


class ProcessDied(Exception):
    """A process of the demo ended by itself; the message says which, and holds what it wrote last."""


@click.command()
@click.option("--headless", is_flag=True, help="No live view: a line now and then, and the summary.")
@click.option("--seed", type=int, default=1, show_default=True, help="The market's chance.")
@click.option("--seconds", type=click.IntRange(min=1), help="Play for this time; without it until Ctrl-C.")
@click.option("--rate", type=click.FloatRange(1, 2000), default=20.0, show_default=True, help="Drawdowns a second.")
@click.option("--kafka", help="A Kafka (host:port) to use, where the demo's topics stay.")
@click.option("--redis", "redis_url", help="URL of a Redis to use.")
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
        _say("starting Kafka and Redis")
        settings = _settings(stack, kafka, redis_url)
        try:
            ask(settings, create_topics(settings))
            with _process(settings, "worker") as died:
                _say("starting a worker")
                _wait_until_ready(settings, died)
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
    click.echo(json.dumps({**msgspec.to_builtins(summary), "good": summary.good}) if as_json else in_words(summary))
    if not summary.good:
        raise SystemExit(1)


def _say(progress: str) -> None:
    click.echo(progress, err=True)


def _settings(stack: ExitStack, kafka: str | None, redis_url: str | None) -> Settings:
    chosen = {"LOANROUTER_KAFKA": kafka or "", "LOANROUTER_REDIS": redis_url or ""}
    given = Settings.from_env(os.environ | {name: value for name, value in chosen.items() if value})
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loanrouter-demo-")))
    settings = replace(
        given,
        kafka=given.kafka if kafka else stack.enter_context(EmbeddedKafka()).bootstrap,
        kafka_idempotence=kafka is not None and given.kafka_idempotence,
        redis=given.redis if redis_url else stack.enter_context(EmbeddedRedis()).url,
        config=Path(str(files("market").joinpath("rotation.yaml"))),
        topic_prefix=given.topic_prefix if kafka is None else f"{given.topic_prefix}demo-{uuid.uuid4().hex[:8]}.",
        web_port=free_port(),
        console_port=free_port(),
        data=folder / "data",
        session_timeout_seconds=_SESSION_SECONDS if kafka is None else given.session_timeout_seconds,
        clock="wall",
    )
    settings.data.mkdir()
    return settings


async def _open_console(settings: Settings, until: ExitStack) -> str:
    """Start the web console, with a user for each role; gives where it is and how to log in."""
    password = secrets.token_hex(4)
    async with connect(settings) as redis:
        people = People(redis, settings)
        for role in ROLES:
            await people.add(role, [role], password)
    until.enter_context(_process(settings, "console"))
    return f"http://{settings.console_address}/ as operator, password {password}"


@contextmanager
def _process(settings: Settings, command: str) -> Iterator[Callable[[], None]]:
    """A command of ours as a process for the time of the context.

    The callable raises `ProcessDied` once it ended by itself.
    """
    log = settings.data / f"{command}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-c", "from cli.main import main; main()", command],
            env=os.environ | settings.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )

    def check() -> None:
        if process.poll() is not None:
            last = log.read_text(errors="replace")[-2000:]
            raise ProcessDied(f"{command} died: exit code {process.returncode}\n{last}")

    try:
        yield check
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        process.wait()


def _wait_until_ready(settings: Settings, died: Callable[[], None]) -> None:
    """Wait for the worker, so that nobody's first drawdown waits for its start; raises `ProcessDied`."""
    deadline, reasons = monotonic() + _READY_SECONDS, "it does not answer"
    while monotonic() < deadline:
        died()
        try:
            urllib.request.urlopen(f"http://{settings.web_address}/readyz", timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            reasons = error.read().decode(errors="replace")
        except OSError:
            pass
        sleep(0.05)
    raise click.ClickException(f"the worker was not ready within {_READY_SECONDS} s: {reasons}")


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
