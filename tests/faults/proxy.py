"""A TCP proxy on loopback that adds latency."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from streams.embedded import LOOPBACK, free_port

_CHUNK = 65_536


class SlowProxy:
    """Passes bytes to a port and back, from `with` to its end; `delay` (seconds) is added each way."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        self._target = target
        self._thread = ThreadPoolExecutor(1)
        self._listens: Future[asyncio.AbstractEventLoop] = Future()
        self._end = asyncio.Event()

    def __enter__(self) -> Self:
        self._served = self._thread.submit(asyncio.run, self._serve())
        self._listens.result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listens.result().call_soon_threadsafe(self._end.set)
        self._served.result(10)
        self._thread.shutdown()

    async def _serve(self) -> None:
        connections: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connection(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)
            # Not in the task, which may be cancelled before it begins; `close` would wait for who may be dead.
            task.add_done_callback(lambda _: writer.transport.abort())

        server = await asyncio.start_server(connected, LOOPBACK, self.port)
        self._listens.set_result(asyncio.get_running_loop())
        await self._end.wait()
        for listening in server.sockets:  # a server that is closed forgets whom it is just accepting
            asyncio.get_running_loop().remove_reader(listening)
        while running := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in connections:
                task.cancel()
            await asyncio.wait(running)
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self._target)
            try:
                there = asyncio.create_task(self._pump(reader, there_writer))
                back = asyncio.create_task(self._pump(there_reader, writer))
                try:
                    await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    there.cancel()
                    back.cancel()
                    await asyncio.gather(there, back, return_exceptions=True)
            finally:
                there_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            await asyncio.sleep(self.delay)
            writer.write(chunk)
            await writer.drain()
