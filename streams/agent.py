"""One batched agent: a genuine Faust agent, its topics and table, and at most one batch in work.

The consumer hands a batch on through the queue of the agent's own stream; the stream's processor marks it as begun,
or skips it when it was dropped meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

import faust
from faust.exceptions import Skip
from faust.types import ChannelT

from streams.batches import Batch
from streams.table import PartitionedTable

AgentBody = Callable[[faust.Stream[Batch]], Awaitable[None]]


class BatchAgent:
    """What the consumer knows of an agent. `topics` stand in the order that decides equal timestamps."""

    def __init__(self, name: str, topics: tuple[str, ...], table: PartitionedTable, grace: float) -> None:
        self.name = name
        self.topics = topics
        self.table = table
        self.free = asyncio.Event()
        self.free.set()
        self.tick = asyncio.Event()
        self.stream: faust.Stream[Batch] | None = None
        self._batch: Batch | None = None
        self._grace = grace

    def body(self, fun: AgentBody) -> AgentBody:
        """The agent's function, with the mark set when it takes a batch."""

        async def run(batches: faust.Stream[Batch]) -> None:
            batches.add_processor(self._begin)
            self.stream = batches
            await fun(batches)

        run.__doc__ = fun.__doc__
        return run

    def hand_on(self, batch: Batch) -> None:
        """Give the agent its next batch.

        It is free again when the batch is committed. After a dropped batch only a rebalance frees it: its records
        are then sought again, and nothing may pass them before.
        """
        assert self.stream is not None
        self.free.clear()
        self._batch = batch
        cast(ChannelT[Batch], self.stream.channel).queue.put_nowait(batch)

    def release(self, batch: Batch) -> None:
        """Call when a batch was committed, or given up in a rebalance."""
        if batch is self._batch:
            self._batch = None
            self.free.set()

    async def wind_down(self) -> None:
        """Let the batch in work end: at once when it was not begun; else within three bounded steps.

        First it may finish, then it is told to stop waiting, then whatever it is writing may finish. After that it
        is given up: it can not write any more.
        """
        batch = self._batch
        if batch is None:
            return
        if batch.begun:
            await self._wait(batch, self._grace)
            batch.revoked.set()
            await self._wait(batch, self._grace * (2 if batch.writing else 1))
        batch.revoked.set()
        batch.given_up = True
        self.release(batch)

    async def _wait(self, batch: Batch, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(batch.ended.wait(), seconds)

    def _begin(self, batch: Batch) -> Batch:
        if batch.given_up:
            raise Skip
        batch.begun = True
        return batch
