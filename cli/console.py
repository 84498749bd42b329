"""`loanrouter console`: the web console."""

import os

import click
from redis.exceptions import RedisError

from cli.address import refuse_taken
from cli.kafka import ask
from cli.logs import begin_log
from config.settings import Settings
from console.people import FIRST_ADMIN
from console.server import desk_of, serve
from streams.ending import asked_to_end
from streams.topics import missing_topics


@click.command()
def console() -> None:
    """Serve the web console until SIGTERM or Ctrl-C.

    On LOANROUTER_CONSOLE, by default of this machine alone.

    The first start makes the user admin, and prints a one-time password for it, once.
    """
    settings = begin_log(os.environ)
    refuse_taken("LOANROUTER_CONSOLE", settings.console_host, settings.console_port)
    try:
        ask(settings, _run(settings))
    except RedisError as error:
        raise click.ClickException(f"Redis: {error}") from None


async def _run(settings: Settings) -> None:
    if missing := await missing_topics(settings):
        raise click.ClickException(
            f"Kafka at {settings.kafka}: no such topic: {missing[0]}; create the topics first: loanrouter topics create"
        )
    stop = asked_to_end()
    async with desk_of(settings) as desk:
        password = await desk.people.first_admin()
        if password is not None:
            click.echo(f"first user: {FIRST_ADMIN}, one-time password: {password}")
        click.echo(f"console: http://{settings.console_address}/")
        await serve(settings, desk, stop)
