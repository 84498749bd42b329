"""The reservation book that all workers share: Redis, asked with one script call a batch.

The script (`reservations.lua`) judges a whole batch at once, so no other worker comes between, and it compares the
server's run id itself, so a server that restarted is never mistaken for the one that was asked before, however the
client reconnected. The server must not evict keys (`maxmemory-policy noeviction`), and its user needs the commands of
the script, INFO and TIME among them.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import chain, islice
from typing import Any, Generic, Self, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from rotation.reservations import FunderLimits, Operation, Reserved, Usage

_SCRIPT = files("streams").joinpath("reservations.lua").read_text()
_AWAY = (ConnectionError, TimeoutError, OutOfMemoryError, ReadOnlyError, ClusterDownError, TryAgainError)
_AWAY_CODES = ("BUSY", "MISCONF", "NOREPLICAS", "UNBLOCKED")
_EVICTS = "EVICTS"  # of the script itself
_RESTORED_AT_ONCE = 1000
_TIMEOUT_SECONDS = 5.0

Answers = TypeVar("Answers")


class BookUnavailable(Exception):
    """The book cannot answer now: the server is away, loading, busy, full, not the primary, or may evict keys.

    Whether the operations were done is unknown; they may be asked again as they are.
    """


class NeedsRestore(Exception):
    """The book does not hold these `partitions` (any more). Nothing was done.

    Whoever owns one of them restores it; nothing is answered before all are restored.
    """

    def __init__(self, partitions: Sequence[int]) -> None:
        super().__init__(f"the reservation book must first be told what partitions {list(partitions)} hold")
        self.partitions = tuple(partitions)


class _UsageAsked(msgspec.Struct, frozen=True, array_like=True, tag="Usage"):
    id: str
    day: str
    now: int


class _Reply(msgspec.Struct, Generic[Answers], frozen=True, array_like=True):
    missing: tuple[int, ...]
    generation: str
    answers: Answers


_pack = msgspec.msgpack.Encoder().encode
_reservations = msgspec.msgpack.Decoder(_Reply[list[Reserved | None]])
_usages = msgspec.msgpack.Decoder(_Reply[list[list[tuple[str, Usage]]]])


class RedisBook:
    """The shared book. `prefix` comes before its keys; `partitions` is how many there are of the borrower topics.

    Every call raises `BookUnavailable` when the server cannot answer; trying again is the caller's business.
    """

    def __init__(self, redis: Redis, prefix: str, partitions: int) -> None:
        self._redis = redis
        self._key = f"{{{prefix}loanrouter}}:reservations"
        self._partitions = partitions
        self._script = redis.register_script(_SCRIPT)
        self._limits: Mapping[str, FunderLimits] = {}
        self._header = b""

    @classmethod
    def connect(cls, client: Mapping[str, Any], prefix: str, partitions: int) -> Self:
        """A book with a client of its own, made for it: it gives up after 5 s and does not retry. Close it.

        `client` is what `Settings.redis_client_args` gives.
        """
        redis = Redis.from_url(
            **client,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        return cls(redis, prefix, partitions)

    async def aclose(self) -> None:
        """Close the client's connections."""
        await self._redis.aclose()

    async def apply(self, operations: Sequence[Operation], limits: Mapping[str, FunderLimits]) -> list[Reserved | None]:
        """Do `operations` in order, all or nothing. One answer for each: of a `Reserve` its `Reserved`, else None.

        Raises `NeedsRestore` when the server restarted or lost its data, and when a funder's loans became guaranteed,
        ceased to be, or are counted since another time.
        """
        reply = _reservations.decode(await self._call(limits, operations, "current"))
        if not reply.generation:
            raise NeedsRestore(reply.missing)
        return reply.answers

    async def restore(
        self, partition: int, operations: Iterable[Operation], limits: Mapping[str, FunderLimits]
    ) -> None:
        """Tell the book all that a partition's borrowers hold; then it is held again.

        `operations` are `Restore`s of what is written down, and after them whatever was asked but is not yet written
        down: a `Restore` of each reservation that was answered, other operations as they are. Doing it twice
        changes nothing. Raises `NeedsRestore` when the server was lost again meanwhile.
        """
        rest = iter(operations)
        generation = ""
        for chunk in chain(iter(lambda: list(islice(rest, _RESTORED_AT_ONCE)), []), ([],)):
            ends = "" if chunk else partition
            reply = _reservations.decode(await self._call(limits, chunk, generation, ends))
            generation = reply.generation
            if not generation:
                raise NeedsRestore((partition,))
        if not reply.missing:
            await self._forget_before(generation)

    async def usage(self, day: str, now: int, limits: Mapping[str, FunderLimits]) -> dict[str, Usage]:
        """What each funder of `limits` holds on a Shanghai day (yyyymmdd), as a call at `now` (ms) sees it.

        Raises `NeedsRestore` as `apply` does.
        """
        reply = _usages.decode(await self._call(limits, [_UsageAsked("", day, now)], "current"))
        if not reply.generation:
            raise NeedsRestore(reply.missing)
        return dict(reply.answers[0])

    async def _call(
        self,
        limits: Mapping[str, FunderLimits],
        operations: Sequence[Operation | _UsageAsked],
        generation: str,
        restored: int | str = "",
    ) -> bytes:
        if limits is not self._limits:
            self._limits, self._header = limits, _pack((_signature(limits), self._partitions, limits))
        try:
            reply: bytes = await self._script(
                keys=[self._key], args=[self._header, _pack(operations), generation, restored]
            )
        except _AWAY as error:
            raise BookUnavailable(f"Redis does not serve: {type(error).__name__}") from error
        except ResponseError as error:
            code = str(error).partition(" ")[0]
            if code == _EVICTS:
                raise BookUnavailable("Redis may evict keys: set its maxmemory-policy to noeviction") from error
            if code not in _AWAY_CODES:
                raise
            raise BookUnavailable(f"Redis does not serve: {code}") from error
        return reply

    async def _forget_before(self, generation: str) -> None:
        """Delete what earlier generations left."""
        try:
            async for key in self._redis.scan_iter(match=f"{self._key}:*", count=1000):
                if int(key.removeprefix(self._key.encode() + b":").partition(b":")[0]) < int(generation):
                    await self._redis.unlink(key)
        except _AWAY as error:
            raise BookUnavailable(f"Redis does not serve: {type(error).__name__}") from error


def _signature(limits: Mapping[str, FunderLimits]) -> str:
    """Which funders' loans are guaranteed, and since when: what the sums of the book depend on."""
    return ",".join(
        f"{funder_id}={limit.guarantee_since}" for funder_id, limit in sorted(limits.items()) if limit.enhanced
    )
