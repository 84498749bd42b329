"""The board shows what the topics hold: everything once, whatever ends or is lost meanwhile, and never without bound.

On real brokers; what the workers would say is published as they would say it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from config.settings import Settings
from console import board as boards
from console.board import Board, Moved, Posting
from console.keys import connect
from console.projection import project
from rotation.clock import MINUTE, rfc3339
from rotation.outputs import Candidate, CaptureAlert, CaptureEvidence, Decision, FunderState, encode
from streams.topics import create_topics, topic_name
from tests.rotation.world import T0, grant, outcome, request
from tests.worker.service import item_of

EVIDENCE = CaptureEvidence(9, 4.0, 40, 5.1, 5.0, rfc3339(T0), ["an outage"])


def decision(number: int, funder_id: str | None = "cf-west", *, at: int = T0, relaxed: bool = False) -> Decision:
    """The decision on the drawdown of that number, of the borrower of the same number."""
    return Decision(
        decision_id=f"dd-{number}:1",
        drawdown_id=f"dd-{number}",
        customer_id=f"c-{number}",
        attempt=1,
        status="held" if funder_id is None else "routed",
        funder_id=funder_id,
        decided_at=rfc3339(at),
        expires_at=rfc3339(at + MINUTE),
        reasons=["no_candidate" if funder_id is None else "only_candidate"],
        relaxed=["cooldown"] if relaxed else [],
        candidates=[Candidate(funder_id, 1.0)] if funder_id else [],
        excluded={},
        config_revision=1,
        config_sha256="0" * 64,
        funder_states_version=-1,
    )


def alert(number: int) -> CaptureAlert:
    """An alert."""
    return CaptureAlert(
        f"alert-{number}", "cf-west", "grade A", "pass_rate", "watch", rfc3339(T0), EVIDENCE, "normal", "watch"
    )


def state(version: int) -> FunderState:
    """Where the funder stands."""
    return FunderState("cf-west", {"A": 0.5}, "watch", 1.0, rfc3339(T0), "pass_rate of grade A", version)


class Desk:
    """Topics, a board, and a projection that runs while it is asked for."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self.redis = connect(settings)
        self.board = Board(self.redis, settings)
        self.producer = producer

    async def say(self, topic: str, key: str, *values: msgspec.Struct) -> None:
        """Publish what workers say."""
        for value in values:
            await self.producer.send_and_wait(topic_name(self.settings, topic), encode(value), key.encode())

    async def tell(self, *events: Any) -> None:
        """Publish what happens to borrowers."""
        for item in map(item_of, events):
            await self.producer.send_and_wait(
                topic_name(self.settings, item.topic), item.value, item.key, timestamp_ms=item.at
            )

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[None]:
        """Inside, a projection runs; it ends in the middle of whatever it does."""
        running = asyncio.create_task(project(self.settings, self.board))
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def until(self, question: Callable[[], Awaitable[object]], answer: object) -> None:
        """Wait until the board answers so."""
        deadline = time.monotonic() + 60
        while (found := await question()) != answer:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)

    async def routed(self) -> dict[str, int]:
        """To each funder, in the minute of `T0`."""
        return (await self.board.flow(1, T0))[0].funders


@pytest.fixture
def with_desk(settings: Settings) -> Callable[[Callable[[Desk], Coroutine[Any, Any, None]]], None]:
    """Runs a story at a desk with topics of its own."""

    async def run(story: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
        await create_topics(settings)
        async with AIOKafkaProducer(**settings.kafka_client_args()) as producer:
            desk = Desk(settings, producer)
            try:
                await story(desk)
            finally:
                await desk.redis.aclose()

    return lambda story: asyncio.run(run(story))


def test_what_is_published_is_on_the_board(with_desk: Any) -> None:
    """A borrower's past in order of time, decisions by drawdown and minute, states, alerts."""

    async def story(desk: Desk) -> None:
        async with desk.projecting():
            await desk.tell(
                request("dd-1", T0 - 1, customer_id="c-1"),
                grant("cf-west", T0 - 2, customer_id="c-1"),
                outcome("dd-1", "cf-west", "disbursed", T0 + 1, customer_id="c-1"),
            )
            await desk.say("routing-decisions", "c-1", decision(1), decision(1))
            await desk.say("routing-decisions", "c-2", decision(2, None), decision(3, at=T0 - MINUTE, relaxed=True))
            await desk.say("funder-states", "cf-west", state(1), state(2))
            await desk.say("capture-alerts", "cf-west", alert(1), alert(2))

            async def told() -> list[str]:
                return [event.topic for event in await desk.board.timeline("c-1")]

            await desk.until(told, ["drawdown-outcomes", "routing-decisions", "drawdown-requests", "credit-grants"])
            await desk.until(desk.board.states, {"cf-west": state(2)})
            await desk.until(desk.board.alerts, [alert(2), alert(1)])
            await desk.until(lambda: desk.board.borrower_of("dd-3"), "c-3")
            before, minute = await desk.board.flow(2, T0)
            assert (before.at, before.funders, before.relaxed) == (T0 - MINUTE, {"cf-west": 1}, 1)
            assert (minute.held, minute.rejected, minute.relaxed) == (1, 0, 0)
            assert await desk.board.flow(2, None) == [before, minute]
            assert msgspec.convert((await desk.board.timeline("c-3"))[0].says, Decision).relaxed == ["cooldown"]

    with_desk(story)


def test_nothing_is_counted_twice_or_lost_when_it_ends_in_between(with_desk: Any) -> None:
    """However often the projection is ended and begun again."""

    async def story(desk: Desk) -> None:
        for turn in range(1, 4):
            async with desk.projecting():
                await desk.say("routing-decisions", "c", *(decision(turn * 100 + n) for n in range(30)))
                await asyncio.sleep(0)  # the last ones may be in work when it ends
            await desk.say("routing-decisions", "c", *(decision(turn * 100 + n) for n in range(30, 40)))
        async with desk.projecting():
            await desk.until(desk.routed, {"cf-west": 120})
            await desk.say("routing-decisions", "c", decision(1))
            await desk.until(desk.routed, {"cf-west": 121})

    with_desk(story)


def test_a_redis_that_forgot_is_told_again(with_desk: Any) -> None:
    """While the projection runs: with the next record it notices, and reads the topics from their beginning."""

    async def story(desk: Desk) -> None:
        async with desk.projecting():
            await desk.say("routing-decisions", "c", *(decision(n) for n in range(10)))
            await desk.say("funder-states", "cf-west", state(1))
            await desk.until(desk.routed, {"cf-west": 10})
            await desk.until(desk.board.states, {"cf-west": state(1)})
            await desk.redis.flushall()
            await desk.say("routing-decisions", "c", decision(10))
            await desk.until(desk.routed, {"cf-west": 11})
            await desk.until(desk.board.states, {"cf-west": state(1)})

    with_desk(story)


def test_what_nobody_can_read_is_passed_over(with_desk: Any) -> None:
    """Bad input, which is in the dead letters, and what no worker would say."""

    async def story(desk: Desk) -> None:
        async with desk.projecting():
            producer, name = desk.producer, topic_name(desk.settings, "routing-decisions")
            for value in (b"{", b"\xff", None, b'{"drawdown_id":"dd-9"}'):
                await producer.send_and_wait(name, value, b"c-9")
                await producer.send_and_wait(topic_name(desk.settings, "drawdown-requests"), value, b"c-9")
            await desk.say("routing-decisions", "c-9", decision(9))
            await desk.until(desk.routed, {"cf-west": 1})
            assert [event.topic for event in await desk.board.timeline("c-9")] == ["routing-decisions"]

    with_desk(story)


def test_of_two_who_post_the_same_batch_one_is_heard(with_desk: Any) -> None:
    """The other one is told, so that it goes on from where the board stands."""

    async def story(desk: Desk) -> None:
        batch = Posting(offsets={"routing-decisions/0": 5}, decisions=[(decision(1), T0)])
        await desk.board.post(batch, {})
        with pytest.raises(Moved):
            await desk.board.post(batch, {})
        assert await desk.routed() == {"cf-west": 1}
        await desk.board.post(Posting(offsets={"routing-decisions/0": 6}), {"routing-decisions/0": 5})
        assert await desk.board.offsets() == {"routing-decisions/0": 6}

    with_desk(story)


def test_only_the_newest_stay(with_desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of borrowers, their events, drawdowns, minutes and alerts; what goes leaves no key behind."""
    for name, most in (("BORROWERS", 3), ("DRAWDOWNS", 4), ("MINUTES", 2), ("ALERTS", 2), ("OF_A_BORROWER", 2)):
        monkeypatch.setattr(boards, name, most)

    async def story(desk: Desk) -> None:
        async with desk.projecting():
            for number in range(10):
                at = T0 + number * MINUTE
                await desk.say("routing-decisions", f"c-{number}", decision(number, at=at))
                await desk.tell(*(request(f"x-{number}-{n}", at + n, customer_id=f"c-{number}") for n in range(1, 5)))
                await desk.say("capture-alerts", "cf-west", alert(number))
            await desk.until(lambda: desk.board.borrowers(99), ["c-9", "c-8", "c-7"])
            await desk.until(lambda: desk.board.drawdowns(99), ["dd-9", "dd-8", "dd-7", "dd-6"])
            await desk.until(desk.board.alerts, [alert(9), alert(8)])

            async def kept() -> dict[str, int]:
                names = [key.split(":")[3] async for key in desk.redis.scan_iter(match="*:board:*")]
                return {kind: names.count(kind) for kind in ("borrower", "drawdown", "minute")}

            await desk.until(kept, {"borrower": 3, "drawdown": 4, "minute": 2})
            assert len(await desk.board.timeline("c-9")) == 2

    with_desk(story)
