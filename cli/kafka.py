"""What every command that asks Kafka does: quietly, and a failure is told once, in words."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import click
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError

from config.settings import Settings

T = TypeVar("T")


def ask(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; a `KafkaError` in it ends the command with exit code 1."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(work)
    except UnknownTopicOrPartitionError as error:
        problem = f"{_words(error)}; create the topics first: loanrouter topics create"
    except KafkaConnectionError:
        problem = "cannot be reached"
    except (KafkaError, OSError) as error:
        problem = _words(error)
    raise click.ClickException(f"Kafka at {settings.kafka}: {problem}")


def _words(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, KafkaError) and error.args else str(error)
