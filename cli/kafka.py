"""What every command that asks Kafka does: quietly, and a failure is told once, in words."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import click
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from config.settings import Settings
from streams.unreachable import kafka_problem

T = TypeVar("T")


def ask(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; a `KafkaError` in it ends the command with exit code 1."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(work)
    except (KafkaError, OSError) as error:
        problem = asyncio.run(kafka_problem(settings, error))
        if isinstance(error, UnknownTopicOrPartitionError):
            problem += "; create the topics first: loanrouter topics create"
    raise click.ClickException(f"Kafka at {settings.kafka}: {problem}")
