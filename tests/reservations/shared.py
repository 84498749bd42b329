"""The shared book, called without await, and the limits and days of the tests."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from redis import Redis

from rotation.reservations import FunderLimits, Operation, Reserved, Usage
from streams.reservations import RedisBook

PARTITIONS = 2
DAY = 24 * 3600 * 1000
MIDNIGHT = 20_000 * DAY - 8 * 3600 * 1000
NOON = MIDNIGHT + DAY // 2
TTL = 1800 * 1000
LIMITS: Mapping[str, FunderLimits] = {
    "bank": FunderLimits(daily_amount=1000, daily_count=3),
    "trust": FunderLimits(daily_amount=5000, daily_count=100),
    "finance": FunderLimits(
        daily_amount=10_000,
        daily_count=100,
        enhanced=True,
        balance=1000,
        guaranteed=400,
        cap=0.5,
        guarantee_since=MIDNIGHT,
    ),
}


def day_of(now: int) -> str:
    """A name of eight digits for the Shanghai day of `now`."""
    return f"{(now - MIDNIGHT) // DAY + 20261101:08d}"


class Book(Protocol):
    """What both books can do."""

    limits: Mapping[str, FunderLimits]

    def apply(self, operations: Sequence[Operation]) -> list[Reserved | None]:
        """One answer for each operation."""

    def usage(self, day: str, now: int) -> dict[str, Usage]:
        """What each funder holds."""


class SharedBook:
    """A `RedisBook` with limits of its own and without await."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self.limits = LIMITS
        self._runner = runner
        self._redis = Redis.from_url(url)
        self.redis_book = RedisBook.connect({"url": url}, "test-", PARTITIONS)

    def close(self) -> None:
        """Close the clients."""
        self._runner.run(self.redis_book.aclose())
        self._redis.close()

    def flush(self) -> None:
        """Make the server lose everything."""
        self._redis.flushall()

    def apply(self, operations: Sequence[Operation]) -> list[Reserved | None]:
        """See `RedisBook.apply`."""
        return self._runner.run(self.redis_book.apply(operations, self.limits))

    def usage(self, day: str, now: int) -> dict[str, Usage]:
        """See `RedisBook.usage`."""
        return self._runner.run(self.redis_book.usage(day, now, self.limits))

    def restore(self, partition: int, operations: Iterable[Operation]) -> None:
        """See `RedisBook.restore`."""
        self._runner.run(self.redis_book.restore(partition, operations, self.limits))

    def restore_all(self, operations: Sequence[Operation]) -> None:
        """Restore every partition; the operations are shared out among them."""
        for partition in range(PARTITIONS):
            self.restore(partition, operations[partition::PARTITIONS])
