"""Where the console keeps its things: in the workers' Redis, under a name of its own, or in another one."""

from typing import Any, TypeAlias

from redis.asyncio import Redis

from config.settings import Settings

TextRedis: TypeAlias = Any
"""A client whose answers are text: the library's types leave open whether they are."""


def key(settings: Settings, *names: str) -> str:
    """The Redis key of something of the console's."""
    return ":".join((f"{{{settings.topic_prefix}loanrouter}}", "console", *names))


def connect(settings: Settings) -> TextRedis:
    """A client. Close it."""
    return Redis.from_url(**settings.console_redis_client_args(), decode_responses=True)
