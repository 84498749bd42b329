"""`loanrouter synthetic`: measures the whole path from outside."""

import asyncio
import os

import click
from prometheus_client import start_http_server

from cli.address import refuse_taken
from cli.logs import begin_log
from config.settings import Settings
from streams.ending import asked_to_end
from streams.synthetic import REGISTRY, SyntheticBorrower


@click.command()
@click.option(
    "--every", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Seconds from one request to the next."
)
def synthetic(every: float) -> None:
    """Ask for drawdowns that cannot be, and measure until their decisions, until SIGTERM or Ctrl-C.

    LOANROUTER_WEB serves /metrics.
    """
    settings = begin_log(os.environ)
    if settings.clock != "wall":
        raise click.UsageError("LOANROUTER_CLOCK must be wall: these requests would move the stream clock")
    refuse_taken("LOANROUTER_WEB", settings.web_host, settings.web_port)
    server, serving = start_http_server(settings.web_port, settings.web_host, REGISTRY)
    try:
        asyncio.run(_run(settings, every))
    finally:
        server.shutdown()
        serving.join()


async def _run(settings: Settings, every: float) -> None:
    stop = asked_to_end()
    asking = asyncio.create_task(SyntheticBorrower(settings, every).run())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((asking, stopped), return_when=asyncio.FIRST_COMPLETED)
    if asking.done():
        asking.result()
    asking.cancel()
    await asyncio.wait((asking,))
