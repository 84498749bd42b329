"""Many workers at one funder."""

import asyncio

from rotation.reservations import Reserve, Reserved
from streams.embedded import EmbeddedRedis
from streams.reservations import RedisBook
from tests.reservations.shared import LIMITS, NOON, PARTITIONS, TTL, SharedBook, day_of

WORKERS = 6
BATCHES = 20


def test_workers_race_for_the_last_room(
    embedded_redis: EmbeddedRedis, shared_book: SharedBook, runner: asyncio.Runner
) -> None:
    """However calls of several clients interleave, exactly the room there is given away, and each id once."""

    async def worker(number: int) -> list[Reserved | None]:
        book = RedisBook.connect({"url": embedded_redis.url}, "test-", PARTITIONS)
        answers: list[Reserved | None] = []
        for batch in range(BATCHES):
            asked = [
                Reserve(f"{number if i else 'shared'}/{batch}:{i}", ("trust",), 7, NOON, day_of(NOON), NOON + TTL)
                for i in range(10)
            ]
            answers += await book.apply(asked, LIMITS)
            await asyncio.sleep(0)
        await book.aclose()
        return answers

    async def race() -> list[list[Reserved | None]]:
        return await asyncio.gather(*(worker(number) for number in range(WORKERS)))

    every = runner.run(race())
    usage = shared_book.usage(day_of(NOON), NOON)["trust"]
    assert usage.count == LIMITS["trust"].daily_count
    own = sum(answer == Reserved("trust") for answers in every for i, answer in enumerate(answers) if i % 10)
    shared = [{answers[batch * 10] == Reserved("trust") for answers in every} for batch in range(BATCHES)]
    assert all(len(same) == 1 for same in shared)
    assert own + sum(same == {True} for same in shared) == usage.count
