"""A server that restarts empty, comes back with old data, or cannot answer: nothing is reserved on a guess."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from rotation.book import MemoryBook
from rotation.reservations import Commit, FunderLimits, Release, Repay, Reserve, Reserved, Restore
from streams.embedded import EmbeddedRedis
from streams.reservations import BookUnavailable, NeedsRestore, RedisBook
from tests.reservations.shared import DAY, LIMITS, NOON, PARTITIONS, TTL, SharedBook, day_of

TODAY = day_of(NOON)
ASKED = Reserve("asked", ("bank",), 1, NOON, TODAY, NOON + TTL)


@pytest.fixture
def own_server() -> Iterator[EmbeddedRedis]:
    """A Redis that the test may end."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def own_book(own_server: EmbeddedRedis, runner: asyncio.Runner) -> Iterator[SharedBook]:
    """A restored, empty book on that Redis."""
    book = SharedBook(own_server.url, runner)
    book.restore_all([])
    yield book
    book.close()


def fill(book: SharedBook | MemoryBook) -> None:
    """Leave room for nothing at the bank, by a reservation and a loan."""
    book.apply([Reserve("one", ("bank",), 400, NOON, TODAY, NOON + TTL), Commit("two", "bank", 600, NOON, TODAY)])


def filled() -> list[Restore]:
    """What `fill` leaves, as borrowers' records have it."""
    book = MemoryBook(LIMITS)
    fill(book)
    return list(book.contents())


def assert_full(book: SharedBook) -> None:
    """The bank has room for nothing."""
    assert book.apply([ASKED]) == [Reserved(None, (("bank", "quota_exhausted"),))]


def needed(book: SharedBook) -> tuple[int, ...]:
    """The partitions that the book must be told first; none of the operations is done."""
    with pytest.raises(NeedsRestore) as refused:
        book.apply([ASKED])
    return refused.value.partitions


def test_lost_memory(shared_book: SharedBook) -> None:
    """After FLUSHALL nothing is answered until each partition is restored, and then no quota is overrun."""
    fill(shared_book)
    assert_full(shared_book)
    shared_book.flush()
    one, two = filled()
    assert needed(shared_book) == (0, 1)
    with pytest.raises(NeedsRestore):
        shared_book.usage(TODAY, NOON)
    shared_book.restore(1, [one])
    assert needed(shared_book) == (0,)
    shared_book.restore(0, [two])
    assert_full(shared_book)


def test_killed_server(own_server: EmbeddedRedis, own_book: SharedBook, runner: asyncio.Runner) -> None:
    """A server killed in mid-run is unavailable; its successor on the same port is recognised as another one."""
    fill(own_book)
    os.kill(own_server.pid, signal.SIGKILL)
    with pytest.raises(BookUnavailable):
        own_book.apply([ASKED])
    with EmbeddedRedis(own_server.port):
        assert needed(own_book) == (0, 1)
        own_book.restore_all(filled())
        assert_full(own_book)


def test_server_with_old_data(
    embedded_redis: EmbeddedRedis, shared_book: SharedBook, own_server: EmbeddedRedis, runner: asyncio.Runner
) -> None:
    """A restarted server that read an old snapshot counts nothing of it, and the remains are deleted."""
    shared_book.apply([Reserve("gone", ("trust",), 5000, NOON, TODAY, NOON + TTL)])
    with Redis.from_url(embedded_redis.url) as old, Redis.from_url(own_server.url) as new:
        for key in old.scan_iter():
            new.restore(key, 0, old.dump(key))
        old_keys = set(new.scan_iter())
        book = SharedBook(own_server.url, runner)
        assert needed(book) == (0, 1)
        book.restore_all(filled())
        assert_full(book)
        assert book.usage(TODAY, NOON)["trust"].count == 0
        assert {key for key in old_keys if b":reservations:" in key}.isdisjoint(new.scan_iter())
        book.close()


@pytest.mark.parametrize(
    "finance",
    [
        FunderLimits(10_000, 100, True, 1000, 400, 0.5, NOON + 1),
        FunderLimits(10_000, 100),
    ],
)
def test_guarantee_counted_since_another_time(shared_book: SharedBook, finance: FunderLimits) -> None:
    """When the meaning of G changes, the book is told anew; loans that are in the new balance leave G."""
    shared_book.apply([Commit("old", "finance", 150, NOON, TODAY), Commit("new", "finance", 30, NOON + 1, TODAY)])
    shared_book.limits = {**LIMITS, "finance": finance}
    assert needed(shared_book) == (0, 1)
    loans = [
        Restore(key, "finance", amount, at, TODAY, None, amount)
        for key, amount, at in [("old", 150, NOON), ("new", 30, NOON + 1)]
    ]
    shared_book.restore_all(loans)
    usage = shared_book.usage(TODAY, NOON)["finance"]
    assert (usage.amount, usage.count) == (180, 2)
    assert usage.guaranteed == (30 if finance.enhanced else 0)


def test_changed_quota_needs_nothing(shared_book: SharedBook) -> None:
    """New quotas and a new funder without guarantee are no reason to tell the book anew."""
    fill(shared_book)
    shared_book.limits = {**LIMITS, "newcomer": FunderLimits(1, 1)}
    assert_full(shared_book)


def test_server_lost_again_while_it_is_told(embedded_redis: EmbeddedRedis, shared_book: SharedBook) -> None:
    """A restore in whose middle the memory is lost again does not count as done, and can be done again."""
    holdings = [Restore(f"{i}", "trust", 1, NOON, TODAY, None, 1) for i in range(2500)]

    async def another_worker_begins() -> None:
        book = RedisBook.connect({"url": embedded_redis.url}, "test-", PARTITIONS)
        await book.restore(1, [], LIMITS)
        await book.aclose()

    def lost_in_the_middle() -> Iterator[Restore]:
        yield from holdings[:1500]
        shared_book.flush()
        with ThreadPoolExecutor() as elsewhere:
            elsewhere.submit(asyncio.run, another_worker_begins()).result()
        yield from holdings[1500:]

    shared_book.flush()
    with pytest.raises(NeedsRestore):
        shared_book.restore(0, lost_in_the_middle())
    assert needed(shared_book) == (0,)
    shared_book.restore(0, holdings)
    assert shared_book.usage(TODAY, NOON)["trust"].count == 2500


def test_what_is_not_yet_written_down(shared_book: SharedBook) -> None:
    """A batch in flight is told after the records: its reservations as `Restore`s, the rest as it was asked."""
    shared_book.flush()
    answered = Restore("three", "trust", 70, NOON, TODAY, NOON + TTL, 70)
    shared_book.restore_all([])
    shared_book.restore(0, [*filled(), answered, Release("one", "bank"), Repay("two", "bank", 0)])
    usage = shared_book.usage(TODAY, NOON)
    assert (usage["bank"].amount, usage["trust"].amount) == (600, 70)


def test_keys_end(embedded_redis: EmbeddedRedis, shared_book: SharedBook) -> None:
    """All keys of one book share a hash tag; those of days and of what is owed no more end by themselves."""
    shared_book.apply(
        [
            Reserve("open", ("finance",), 10, NOON, TODAY, NOON + TTL),
            Commit("bank loan", "bank", 10, NOON, TODAY),
            Commit("owed", "finance", 10, NOON, TODAY),
            Commit("repaid", "finance", 10, NOON, TODAY),
            Repay("repaid", "finance", 0),
        ]
    )
    with Redis.from_url(embedded_redis.url) as redis:
        keys = [key.decode() for key in redis.scan_iter()]
        lasting = {key.split(":", 3)[-1] for key in keys if redis.ttl(key) == -1}
        assert all(0 < redis.pttl(key) <= 40 * DAY for key in keys if redis.ttl(key) != -1)
    assert all(key.startswith("{test-loanrouter}:") for key in keys)
    assert lasting == {
        "reservations",
        "restored",
        "guaranteed:finance",
        "open-guaranteed:finance",
        "reservation:owed",
    }


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        pytest.param({"maxmemory": "1"}, "OutOfMemoryError", id="full"),
        pytest.param({"min-replicas-to-write": "1"}, "NOREPLICAS", id="without its replicas"),
    ],
)
def test_server_that_cannot_write(
    own_server: EmbeddedRedis, own_book: SharedBook, settings: dict[str, str], reason: str
) -> None:
    """A server that is full or lacks its replicas is unavailable, does nothing by half, and serves again after."""
    with Redis.from_url(own_server.url) as redis:
        before = {name: redis.config_get(name)[name] for name in settings}
        redis.config_set(*next(iter(settings.items())))
        with pytest.raises(BookUnavailable, match=reason):
            fill(own_book)
        redis.config_set(*next(iter(before.items())))
    assert own_book.usage(TODAY, NOON)["bank"].count == 0
    fill(own_book)
    assert_full(own_book)


def test_server_that_is_no_primary(own_server: EmbeddedRedis, own_book: SharedBook) -> None:
    """A demoted primary is unavailable."""
    with Redis.from_url(own_server.url) as redis:
        redis.replicaof("127.0.0.1", 1)
    with pytest.raises(BookUnavailable, match="ReadOnlyError"):
        fill(own_book)


def test_server_that_evicts(own_server: EmbeddedRedis, own_book: SharedBook) -> None:
    """A server that may throw keys away to make room serves no book, new or old; told not to, it goes on."""
    with Redis.from_url(own_server.url) as redis:
        redis.config_set("maxmemory", "1gb")
        redis.config_set("maxmemory-policy", "volatile-lru")
        for ask in (own_book.apply, lambda _: own_book.usage(TODAY, NOON), lambda _: own_book.restore(0, [])):
            with pytest.raises(BookUnavailable, match="set its maxmemory-policy to noeviction"):
                ask([])
        redis.config_set("maxmemory-policy", "noeviction")
    fill(own_book)
    assert_full(own_book)


def test_server_that_is_busy(own_server: EmbeddedRedis, own_book: SharedBook) -> None:
    """A server that is stuck in somebody's script is unavailable until that ends."""

    def hang() -> None:
        with Redis.from_url(own_server.url) as redis, pytest.raises(ResponseError, match="killed"):
            redis.eval("while true do end", 0)

    def ask_for_seconds(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            own_book.apply([])

    with Redis.from_url(own_server.url) as redis, ThreadPoolExecutor() as elsewhere:
        redis.config_set("busy-reply-threshold", 20)
        stuck = elsewhere.submit(hang)
        try:
            with pytest.raises(BookUnavailable, match="BUSY"):
                ask_for_seconds(10)
        finally:
            redis.script_kill()
        stuck.result()
    fill(own_book)
    assert_full(own_book)


def test_forgotten_script(own_server: EmbeddedRedis, own_book: SharedBook) -> None:
    """A server that forgot the script is sent it again."""
    with Redis.from_url(own_server.url) as redis:
        redis.script_flush()
    fill(own_book)
    assert_full(own_book)


def test_error_tells_no_address(runner: asyncio.Runner) -> None:
    """The reason names neither the address nor a password."""
    with EmbeddedRedis() as gone:
        url = f"redis://user:secret@{gone.address}/0"
    book = SharedBook(url, runner)
    with pytest.raises(BookUnavailable) as error:
        book.apply([ASKED])
    book.close()
    assert "secret" not in str(error.value)
    assert gone.address not in str(error.value)
