"""What the projection keeps in Redis for the pages, bounded: only the newest of everything stays.

It may be lost: with the offsets up to which it stands it is one, so the projection then reads the topics again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from redis.exceptions import WatchError

from config.settings import Settings
from console.keys import TextRedis, key
from rotation.clock import DAY, MINUTE
from rotation.outputs import CaptureAlert, Decision, FunderState

BORROWERS, DRAWDOWNS, MINUTES, ALERTS = 10_000, 100_000, 240, 200
"""How many of each are kept; borrowers and drawdowns by their last event."""
OF_A_BORROWER = 40
_DAYS_KEPT = 14

_ROUTED, _RELAXED = "routed:", "relaxed"


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened to a borrower: the topic that told it, its time there (ms), and what it says."""

    topic: str
    at: int
    says: dict[str, Any]


class Moved(Exception):
    """The board does not stand where the batch begins: Redis lost it, or somebody else posted meanwhile."""


class Posting(msgspec.Struct):
    """What a batch of records adds to the board; `offsets` are the next ones of its partitions."""

    offsets: dict[str, int] = msgspec.field(default_factory=dict)
    events: list[tuple[str, Event]] = msgspec.field(default_factory=list)
    decisions: list[tuple[Decision, int]] = msgspec.field(default_factory=list)
    states: list[FunderState] = msgspec.field(default_factory=list)
    alerts: list[CaptureAlert] = msgspec.field(default_factory=list)


class Minute(NamedTuple):
    """The decisions of one minute (ms at its beginning): to each funder, by status, and with rules given up."""

    at: int
    funders: dict[str, int]
    held: int
    rejected: int
    relaxed: int


#: Of what happened in the same millisecond, what causes the other comes first.
_CAUSES = {
    topic: place
    for place, topic in enumerate(
        (
            "credit-grants",
            "drawdown-requests",
            "routing-decisions",
            "drawdown-outcomes",
            "repayments",
            "credit-applications",
        )
    )
}

_event = msgspec.json.Decoder(Event)
_state = msgspec.json.Decoder(FunderState)
_alert = msgspec.json.Decoder(CaptureAlert)
_event_encoder = msgspec.json.Encoder()


class Board:
    """The board of one console."""

    def __init__(self, redis: TextRedis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings

    # -- what the projection does

    async def offsets(self) -> dict[str, int]:
        """The next offset of each partition, as `post` was told them."""
        found: dict[str, str] = await self._redis.hgetall(self._key("offsets"))
        return {partition: int(offset) for partition, offset in found.items()}

    async def post(self, posting: Posting, stood: Mapping[str, int]) -> None:
        """Add a batch, all or nothing, together with the offsets after it.

        Raises:
            Moved: the board stands elsewhere than at the offsets `stood`; nothing was added.
        """
        async with self._redis.pipeline(transaction=True) as pipe:
            await pipe.watch(self._key("offsets"))
            stands = {name: int(offset) for name, offset in (await pipe.hgetall(self._key("offsets"))).items()}
            lost = bool(stood) and not stands
            if lost or any(stands.get(name) != stood.get(name) for name in posting.offsets):
                raise Moved
            pipe.multi()
            self._post_events(pipe, posting.events)
            self._post_flow(pipe, posting.decisions)
            for state in posting.states:
                pipe.hset(self._key("states"), state.funder_id, _text(state))
            if posting.alerts:
                pipe.lpush(self._key("alerts"), *map(_text, posting.alerts))
                pipe.ltrim(self._key("alerts"), 0, ALERTS - 1)
            pipe.hset(self._key("offsets"), mapping={name: str(offset) for name, offset in posting.offsets.items()})
            try:
                await pipe.execute()
            except WatchError:
                raise Moved from None
        for family, most in (("borrower", BORROWERS), ("drawdown", DRAWDOWNS), ("minute", MINUTES)):
            await self._forget_oldest(family, most)

    def _post_events(self, pipe: Any, events: Iterable[tuple[str, Event]]) -> None:
        by_borrower: dict[str, list[Event]] = defaultdict(list)
        for customer_id, event in events:
            by_borrower[customer_id].append(event)
        drawdowns: dict[str, tuple[str, int]] = {}
        for customer_id, happened in by_borrower.items():
            timeline = self._key("borrower", customer_id)
            pipe.lpush(timeline, *map(_text, happened))
            pipe.ltrim(timeline, 0, OF_A_BORROWER - 1)
            pipe.pexpire(timeline, _DAYS_KEPT * DAY)
            for event in happened:
                if event.topic == "routing-decisions":
                    drawdowns[event.says["drawdown_id"]] = (customer_id, event.at)
        for drawdown_id, (customer_id, _) in drawdowns.items():
            pipe.set(self._key("drawdown", drawdown_id), customer_id, px=_DAYS_KEPT * DAY)
        if by_borrower:
            newest = {customer_id: max(event.at for event in seen) for customer_id, seen in by_borrower.items()}
            pipe.zadd(self._key("borrowers"), newest, gt=True)
        if drawdowns:
            pipe.zadd(self._key("drawdowns"), {drawdown_id: at for drawdown_id, (_, at) in drawdowns.items()})

    def _post_flow(self, pipe: Any, decisions: Iterable[tuple[Decision, int]]) -> None:
        flow: dict[int, Counter[str]] = defaultdict(Counter)
        for decision, at in decisions:
            counts = flow[at // MINUTE]
            counts[f"{_ROUTED}{decision.funder_id}" if decision.funder_id else decision.status] += 1
            counts[_RELAXED] += decision.funder_id is not None and bool(decision.relaxed)
        for minute, counts in flow.items():
            for name, number in counts.items():
                pipe.hincrby(self._key("minute", str(minute)), name, number)
            pipe.pexpire(self._key("minute", str(minute)), _DAYS_KEPT * DAY)
            pipe.zadd(self._key("minutes"), {str(minute): minute})

    async def _forget_oldest(self, family: str, most: int) -> None:
        members = self._key(f"{family}s")
        surplus = await self._redis.zcard(members) - most
        if surplus > 0:
            oldest = await self._redis.zpopmin(members, surplus)
            await self._redis.unlink(*(self._key(family, member) for member, _ in oldest))

    # -- what pages ask

    async def flow(self, minutes: int, now: int | None) -> list[Minute]:
        """The last minutes in order, up to that of `now` (ms; None: of the newest decision); quiet ones too."""
        if now is None:
            newest = await self._redis.zrange(self._key("minutes"), -1, -1)
            now = int(newest[0]) * MINUTE if newest else 0
        last = now // MINUTE
        numbers = range(last - minutes + 1, last + 1)
        async with self._redis.pipeline(transaction=False) as pipe:
            for number in numbers:
                pipe.hgetall(self._key("minute", str(number)))
            found = await pipe.execute()
        return [_minute(number * MINUTE, counts) for number, counts in zip(numbers, found, strict=True)]

    async def timeline(self, customer_id: str) -> list[Event]:
        """What happened to a borrower lately, newest first, a repeated record once."""
        found = await self._redis.lrange(self._key("borrower", customer_id), 0, -1)
        events = [_event.decode(text) for text in dict.fromkeys(found)]
        return sorted(events, key=lambda event: (event.at, _CAUSES[event.topic]), reverse=True)

    async def borrowers(self, most: int) -> list[str]:
        """The borrowers of the newest events."""
        found: list[str] = await self._redis.zrange(self._key("borrowers"), 0, most - 1, desc=True)
        return found

    async def drawdowns(self, most: int) -> list[str]:
        """The drawdowns of the newest decisions."""
        found: list[str] = await self._redis.zrange(self._key("drawdowns"), 0, most - 1, desc=True)
        return found

    async def borrower_of(self, drawdown_id: str) -> str | None:
        """Whose drawdown it is, if it is known."""
        found: str | None = await self._redis.get(self._key("drawdown", drawdown_id))
        return found

    async def states(self) -> dict[str, FunderState]:
        """Where each funder stands."""
        found: dict[str, str] = await self._redis.hgetall(self._key("states"))
        return {funder_id: _state.decode(text) for funder_id, text in found.items()}

    async def alerts(self) -> Sequence[CaptureAlert]:
        """The last alerts, newest first."""
        return [_alert.decode(text) for text in await self._redis.lrange(self._key("alerts"), 0, -1)]

    def _key(self, *names: str) -> str:
        return key(self._settings, "board", *names)


def _text(value: msgspec.Struct) -> str:
    return _event_encoder.encode(value).decode()


def _minute(at: int, counts: Mapping[str, str]) -> Minute:
    routed = {name.removeprefix(_ROUTED): int(n) for name, n in counts.items() if name.startswith(_ROUTED)}
    held, rejected, relaxed = (int(counts.get(name, 0)) for name in ("held", "rejected", _RELAXED))
    return Minute(at, routed, held, rejected, relaxed)
