"""`loanrouter topics`: the Kafka topics."""

import json

import click

from cli.kafka import ask
from cli.main import settings_from_env
from streams.topics import TopicsError, create_topics


@click.group()
def topics() -> None:
    """Create the Kafka topics."""


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list instead of lines.")
def create(as_json: bool) -> None:
    """Create the topics that are missing, and set what is needed.

    On topics that exist too; may be repeated.

    LOANROUTER_PARTITIONS, LOANROUTER_REPLICATION and LOANROUTER_CLOCK say how they are created.
    """
    settings = settings_from_env()
    try:
        results = ask(settings, create_topics(settings))
    except TopicsError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps([result._asdict() for result in results]))
        return
    width = max(len(result.topic) for result in results)
    for result in results:
        click.echo(f"{result.topic:<{width}}  {result.partitions:>4} partitions  {result.result}")
