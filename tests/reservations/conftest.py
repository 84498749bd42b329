"""Both books behind one face, so that every rule is shown on each of them."""

import asyncio
from collections.abc import Iterator

import pytest

from rotation.book import MemoryBook
from streams.embedded import EmbeddedRedis
from tests.reservations.shared import LIMITS, Book, SharedBook


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all calls, since a Redis client belongs to one."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def shared_book_of_session(embedded_redis: EmbeddedRedis, runner: asyncio.Runner) -> Iterator[SharedBook]:
    """The shared book's client, opened once."""
    book = SharedBook(embedded_redis.url, runner)
    yield book
    book.close()


@pytest.fixture
def shared_book(shared_book_of_session: SharedBook) -> SharedBook:
    """A shared book that holds nothing, ready for use."""
    shared_book_of_session.flush()
    shared_book_of_session.limits = LIMITS
    shared_book_of_session.restore_all([])
    return shared_book_of_session


@pytest.fixture(params=["memory", "shared"])
def book(request: pytest.FixtureRequest) -> Book:
    """Each book in turn, holding nothing."""
    if request.param == "memory":
        return MemoryBook(LIMITS)
    shared: SharedBook = request.getfixturevalue("shared_book")
    return shared
