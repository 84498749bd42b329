"""TLS and password to a real Redis, with certificates made here: every client that the product makes takes them.

The embedded server has no TLS; this one is Debian's.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from selectors import DefaultSelector
from typing import Any, TypeVar

import pytest
import redis.exceptions
import trustme

from config.settings import Settings
from console.keys import connect
from streams.embedded import LOOPBACK, EmbeddedServer
from streams.reservations import BookUnavailable, RedisBook
from tests.console.debian import program
from tests.processes import until

T = TypeVar("T")

SECRET = "a-redis-secret"  # noqa: S105  # of a server that lives as long as the test


class SecuredRedis(EmbeddedServer):
    """A Redis that speaks only TLS and asks for a password; its files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        authority = trustme.CA()
        self.cafile = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.cafile))
        certificate = authority.issue_cert(LOOPBACK)
        certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        # One program does both; it serves when it is called so.
        self._program = folder / "redis-server"
        self._program.symlink_to(program("redis-check-rdb", "redis-tools"))
        self._folder = folder

    @property
    def settings(self) -> Settings:
        """Settings of a process that uses it."""
        url = f"rediss://{self.address}/0"
        return Settings(redis=url, redis_password=SECRET, redis_ssl_cafile=self.cafile)

    def _command(self) -> list[str]:
        config = self._folder / "redis.conf"
        config.write_text(
            f"""
            bind {LOOPBACK}
            port 0
            tls-port {self.port}
            tls-cert-file {self._folder / "cert.pem"}
            tls-key-file {self._folder / "key.pem"}
            tls-ca-cert-file {self.cafile}
            tls-auth-clients no
            requirepass {SECRET}
            save ""
            """
        )
        return [str(self._program), str(config)]

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=self.cafile)
        try:
            with (
                socket.create_connection((LOOPBACK, self.port), timeout=1) as plain,
                context.wrap_socket(plain, server_hostname=LOOPBACK) as client,
            ):
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"-NOAUTH")
        except OSError:
            return False


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredRedis]:
    """One for the module."""
    with SecuredRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do it, and wait for the end of its connections: after an error the client does not, and TLS ends by an answer."""
    selector = DefaultSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:

        def only_the_loops_own() -> bool:
            runner.run(asyncio.sleep(0))
            return len(selector.get_map()) == 1

        try:
            return runner.run(work)
        finally:
            until(only_the_loops_own)


async def restored(settings: Settings) -> None:
    """Have the reservations of a partition restored, as a worker does first of all."""
    book = RedisBook.connect(settings.redis_client_args(), "secured-", 1)
    try:
        await book.restore(0, (), {})
    finally:
        await book.aclose()


async def pinged(settings: Settings) -> bool:
    """Whether the console's client is answered."""
    async with connect(settings) as client:
        return bool(await client.ping())


def test_workers_and_console_are_served(secured: SecuredRedis) -> None:
    """With the authority's file and the password."""
    run(restored(secured.settings))
    assert run(pinged(secured.settings))
    own = replace(
        secured.settings,
        redis="redis://nobody/0",
        redis_password=None,
        console_redis=secured.settings.redis,
        console_redis_password=SECRET,
    )
    assert run(pinged(own))


def test_an_unknown_authority_is_refused(secured: SecuredRedis) -> None:
    """A server whose certificate nobody vouches for gets no password."""
    stranger = replace(secured.settings, redis_ssl_cafile=None)
    with pytest.raises(BookUnavailable):
        run(restored(stranger))
    with pytest.raises(redis.exceptions.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        run(pinged(stranger))


def test_a_wrong_password_is_told_without_it(secured: SecuredRedis) -> None:
    """The error of either client shows no password."""
    wrong = replace(secured.settings, redis_password="another-secret")  # noqa: S106
    with pytest.raises(BookUnavailable) as refusal:
        run(restored(wrong))
    assert "secret" not in f"{refusal.value!r} {refusal.value.__cause__!r}"
    with pytest.raises(redis.exceptions.AuthenticationError) as told:
        run(pinged(wrong))
    assert "secret" not in str(told.value)
