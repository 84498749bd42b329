"""`loanrouter worker`: one stream worker."""

import logging

import click

from agents.worker import serving
from cli.main import settings_from_env
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
    settings = settings_from_env()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    try:
        if settings.config.exists():
            _first(settings)
        run_worker(serving(settings, lambda: _first(settings)))
    except (ConfigError, TopicsError, StoreInUse) as error:
        raise click.UsageError(str(error)) from None
    except StoreError as error:
        raise click.ClickException(str(error)) from None


def _first(settings: Settings) -> Revision:
    return first_revision(load_file(settings.config))
