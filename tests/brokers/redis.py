"""A Redis that goes and comes back."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from streams.embedded import LOOPBACK, EmbeddedRedis, free_port


class ComingAndGoing(AbstractContextManager["ComingAndGoing"]):
    """A Redis at one address that is away at first, may go again, and comes back empty."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server = EmbeddedRedis(self._port)
        self._running = ExitStack()

    def __exit__(self, *error: object) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        """Where it is, or will be."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def port(self) -> int:
        """Where it listens, or will."""
        return self._port

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._server.pid

    def come(self) -> None:
        """Start it."""
        self._running.enter_context(self._server)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Inside, it is gone; then it comes back empty."""
        self._running.close()
        try:
            yield
        finally:
            self.come()
