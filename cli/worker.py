"""`loanrouter worker`: one stream worker."""

import logging
import os

import click

from agents.worker import serving
from cli.address import refuse_taken
from cli.logs import begin_log
from config.load import load_file
from config.problems import ConfigError
from config.revisions import first_revision
from config.rotation import Revision
from config.settings import Settings
from streams.store import StoreError, StoreInUse
from streams.topics import TopicsError
from streams.worker import run_worker


@click.command()
def worker() -> None:
    """Run one worker until SIGTERM or Ctrl-C; then it drains and leaves its group.

    LOANROUTER_WEB serves /livez, /readyz and /metrics.
    """
    settings = begin_log(os.environ)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    _check_surroundings(settings)
    try:
        if settings.config.exists():
            _first(settings)
        run_worker(serving(settings, lambda: _first(settings)))
    except (ConfigError, TopicsError, StoreInUse) as error:
        raise click.UsageError(str(error)) from None
    except StoreError as error:
        raise click.ClickException(str(error)) from None


def _check_surroundings(settings: Settings) -> None:
    """Refuse a folder or an address that this process cannot have, before the library fails on it."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"LOANROUTER_DATA: {settings.data} cannot be created: {error.strerror}") from None
    refuse_taken("LOANROUTER_WEB", settings.web_host, settings.web_port)


def _first(settings: Settings) -> Revision:
    return first_revision(load_file(settings.config))
