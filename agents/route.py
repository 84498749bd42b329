"""The borrowers' agent: from a batch of grants, requests, outcomes and repayments to routing decisions.

Gather the batch by borrower, let the core run their turns against the reservation book, and write what came of it:
borrower records, decisions, advice, outcomes for the funders' agent, dead letters.
"""

from collections.abc import Iterable, Mapping
from time import monotonic, time

import faust

from agents.reserve import Reservations
from agents.share import Share
from agents.tenure import Tenure
from agents.tracing import Tracing
from agents.trail import Trail
from config.settings import Settings
from rotation.plan import Plan
from rotation.reservations import FunderLimits
from rotation.waves import Waves, waves
from streams.batches import Batch, PartitionBatch, Revoked
from streams.guide import Guide
from streams.metrics import BATCH_RECORDS, BATCH_SECONDS

#: On the wall clock, time alone moves a partition only when no record came for this long (seconds): records that
#: wait to be read are older than now, and must not find their drawdowns expired. Nothing is read while a batch is in
#: work, be it for hours because Redis is away, so that time does not count.
QUIET_SECONDS = 2.0
_DECODE, _CORE, _RESERVE = (BATCH_SECONDS.labels("route", stage) for stage in ("decode", "core", "reserve"))


class Router:
    """Routes batches of the borrower topics."""

    def __init__(
        self, settings: Settings, guide: Guide, reservations: Reservations, tracing: Tracing | None = None
    ) -> None:
        self._tracing = tracing
        self._settings = settings
        self._guide = guide
        self._reservations = reservations
        self._tenures: dict[int, Tenure] = {}
        self._worked = 0.0
        self._reserving = 0.0

    async def run(self, batches: faust.Stream[Batch]) -> None:
        """Route every batch; the body of the Faust agent."""
        async for batch in batches:
            async with batch:
                try:
                    await self.route(batch)
                except Revoked:
                    self._tenures.clear()
                    raise

    def held(self, partitions: Iterable[int]) -> int:
        """How many borrowers on these partition numbers have a drawdown that is held."""
        return sum(self._tenures[each].held for each in partitions if each in self._tenures)

    async def route(self, batch: Batch) -> None:
        """Route one batch, and commit what came of it."""
        started = monotonic()
        self._reservations.begin()
        if batch.is_tick:
            await self._reservations.keep()
        plan = self._guide.plan
        began = monotonic()
        trail = Trail.begin(self._tracing)
        shares = [self._share(part, batch, plan, trail) for part in batch.partitions]
        decoded = monotonic()
        self._reserving = 0.0
        for phase in plan.phases:
            lives = (life for share in shares for life in share.turns(phase))
            await self._run(batch, waves(lives), phase.policy.limits)
        results = {share.partition: share.result() for share in shares}
        decided = monotonic()
        await batch.commit(results)
        for share in shares:
            share.settle()
            self._guide.reach(share.due)
        if trail is not None:
            trail.tell()
        self._worked += monotonic() - started
        if not batch.is_tick:
            _DECODE.observe(decoded - began)
            _CORE.observe(decided - decoded - self._reserving)
            _RESERVE.observe(self._reserving)
            BATCH_RECORDS.observe(sum(len(part.records) for part in batch.partitions))

    async def _run(self, batch: Batch, wave: Waves[int], limits: Mapping[str, FunderLimits]) -> None:
        try:
            operations = next(wave)
            while True:
                asked = monotonic()
                answers = await self._reservations.apply(batch, operations, limits)
                self._reserving += monotonic() - asked
                operations = wave.send(answers)
        except StopIteration:
            pass

    def _share(self, part: PartitionBatch, batch: Batch, plan: Plan, trail: Trail | None) -> Share:
        now = monotonic() - self._worked
        tenure = self._tenures.get(part.partition)
        if tenure is None or tenure.generation != batch.generation:
            tenure = self._tenures[part.partition] = Tenure(part.marks, batch.generation, now)
        if part.records:
            tenure.last_records = now
        wall = int(time() * 1000) if self._settings.clock == "wall" else None
        quiet = batch.is_tick and now - tenure.last_records > QUIET_SECONDS
        elapsed = wall if quiet else None
        return Share(self._settings, part, tenure, plan, latest=wall, elapsed=elapsed, trail=trail)
