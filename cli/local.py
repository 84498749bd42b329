"""A broker, a Redis and processes of ours, for the time of a command."""

import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import click
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.settings import Settings
from streams.embedded import EmbeddedKafka, EmbeddedRedis, die_with_parent, free_port

_SESSION_SECONDS = 4
_READY_SECONDS = 120
_STOP_SECONDS = 15
_REDIS_SECONDS = 5

kafka_option = click.option("--kafka", help="A Kafka (host:port) to use, where the topics stay.")
redis_option = click.option("--redis", "redis_url", help="URL of a Redis to use.")


class ProcessDied(Exception):
    """A process of ours ended by itself; the message says which, and holds what it wrote last."""


def settings_of(name: str, stack: ExitStack, kafka: str | None, redis_url: str | None, **more: Any) -> Settings:
    """The environment's settings with `more`, and a broker and a Redis of their own where none is given.

    They and a folder for data last as long as `stack`. On a Kafka that is given, topics are new and named by `name`.
    Raises `click.ClickException` when a Redis that is given does not answer.
    """
    chosen = {"LOANROUTER_KAFKA": kafka or "", "LOANROUTER_REDIS": redis_url or ""}
    given = Settings.from_env(os.environ | {variable: value for variable, value in chosen.items() if value})
    if redis_url:
        _ping_redis(given)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"loanrouter-{name}-")))
    settings = replace(
        given,
        kafka=given.kafka if kafka else stack.enter_context(EmbeddedKafka()).bootstrap,
        kafka_idempotence=kafka is not None and given.kafka_idempotence,
        redis=given.redis if redis_url else stack.enter_context(EmbeddedRedis()).url,
        topic_prefix=given.topic_prefix if kafka is None else f"{given.topic_prefix}{name}-{uuid.uuid4().hex[:8]}.",
        web_port=free_port(),
        console_port=free_port(),
        data=folder / "data",
        session_timeout_seconds=_SESSION_SECONDS if kafka is None else given.session_timeout_seconds,
        **more,
    )
    settings.data.mkdir()
    return settings


def _ping_redis(settings: Settings) -> None:
    redis = Redis.from_url(
        **settings.redis_client_args(),
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        with redis:
            redis.ping()
    except RedisError as error:
        raise click.ClickException(f"Redis at {settings.redis}: {error}") from None


@contextmanager
def process(settings: Settings, command: str) -> Iterator[Callable[[], None]]:
    """A command of ours as a process for the time of the context.

    The callable raises `ProcessDied` once it ended by itself.
    """
    log = settings.data / f"{command}.log"
    with log.open("wb") as output:
        running = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-c", "from cli.main import main; main()", command],
            env=os.environ | settings.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )

    def check() -> None:
        if running.poll() is not None:
            last = log.read_text(errors="replace")[-2000:]
            raise ProcessDied(f"{command} died: exit code {running.returncode}\n{last}")

    try:
        yield check
    finally:
        running.terminate()
        with suppress(subprocess.TimeoutExpired):
            running.wait(_STOP_SECONDS)
        running.kill()
        running.wait()


def wait_until_ready(settings: Settings, died: Callable[[], None]) -> None:
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
