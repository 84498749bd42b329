"""What the projection keeps in Redis for the pages, bounded: only the newest of everything stays.

It may be lost: with the offsets up to which it stands it is one, so the projection then reads the topics again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

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


class Told(NamedTuple):
    """An event on its way to the board: whose it is, and what it says as JSON."""

    customer_id: str
    topic: str
    at: int
    says: str


class Moved(Exception):
    """The board does not stand where the batch begins: Redis lost it, or somebody else posted meanwhile."""


class Posting(msgspec.Struct):
    """What a batch of records adds to the board; `offsets` are the next ones of its partitions."""

    offsets: dict[str, int] = msgspec.field(default_factory=dict)
    events: list[Told] = msgspec.field(default_factory=list)
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
_pack = msgspec.msgpack.Encoder().encode
_SCRIPT = files("console").joinpath("board.lua").read_text()


class Board:
    """The board of one console."""

    def __init__(self, redis: TextRedis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._script = redis.register_script(_SCRIPT)

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
        batch = (  # of texts: the script cannot read MessagePack's bytes
            bool(stood),
            [(name, str(stood.get(name, "")), str(to)) for name, to in posting.offsets.items()],
            _by_borrower(posting.events),
            [(decision.drawdown_id, decision.customer_id, str(at)) for decision, at in posting.decisions],
            _by_minute(posting.decisions),
            {state.funder_id: _text(state) for state in posting.states},
            [_text(alert) for alert in posting.alerts],
        )
        kept = (BORROWERS, DRAWDOWNS, MINUTES, ALERTS, OF_A_BORROWER, _DAYS_KEPT * DAY)
        if not await self._script(keys=[self._key()], args=[_pack(batch), _pack(kept)]):
            raise Moved

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
        return (await self.timelines([customer_id]))[0]

    async def timelines(self, customer_ids: Sequence[str]) -> list[list[Event]]:
        """The same of several."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for customer_id in customer_ids:
                pipe.lrange(self._key("borrower", customer_id), 0, -1)
            found = await pipe.execute()
        return [_timeline(texts) for texts in found]

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
    return msgspec.json.encode(value).decode()


def _timeline(texts: Sequence[str]) -> list[Event]:
    events = [_event.decode(text) for text in dict.fromkeys(texts)]
    return sorted(events, key=lambda event: (event.at, _CAUSES[event.topic]), reverse=True)


def _by_borrower(events: Iterable[Told]) -> list[tuple[str, str, list[str]]]:
    """Each borrower's events as they are stored, with the time of the newest."""
    stored: dict[str, list[str]] = defaultdict(list)
    newest: dict[str, int] = defaultdict(int)
    for told in events:
        stored[told.customer_id].append(f'["{told.topic}",{told.at},{told.says}]')
        newest[told.customer_id] = max(newest[told.customer_id], told.at)
    return [(customer_id, str(newest[customer_id]), happened) for customer_id, happened in stored.items()]


def _by_minute(decisions: Iterable[tuple[Decision, int]]) -> list[tuple[str, dict[str, int]]]:
    flow: dict[int, Counter[str]] = defaultdict(Counter)
    for decision, at in decisions:
        counts = flow[at // MINUTE]
        counts[f"{_ROUTED}{decision.funder_id}" if decision.funder_id else decision.status] += 1
        counts[_RELAXED] += decision.funder_id is not None and bool(decision.relaxed)
    return [(str(minute), dict(counts)) for minute, counts in flow.items()]


def _minute(at: int, counts: Mapping[str, str]) -> Minute:
    routed = {name.removeprefix(_ROUTED): int(n) for name, n in counts.items() if name.startswith(_ROUTED)}
    held, rejected, relaxed = (int(counts.get(name, 0)) for name in ("held", "rejected", _RELAXED))
    return Minute(at, routed, held, rejected, relaxed)
