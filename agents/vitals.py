"""What a worker is at, at one moment: the gauges of `/metrics`.

They are set whenever the page is asked for. What only Kafka and Redis know (where the inputs end,
what is used of the quotas) is asked for every few seconds.
"""

import logging
from time import time
from typing import cast

from aiokafka.errors import KafkaError

from agents.route import Router
from rotation.clock import shanghai_day
from rotation.reservations import Usage
from streams import metrics
from streams.app import LoanrouterApp
from streams.guide import Guide
from streams.recovery import QuickTableManager
from streams.reservations import BookUnavailable, NeedsRestore, RedisBook

log = logging.getLogger("loanrouter.vitals")

WATCH_SECONDS = 5.0
PHASES = ("starting", "recovering", "running", "stopping")
#: On the ladder, from the best to the worst, then on trial.
STATES = ("normal", "watch", "throttled", "paused", "probing")


class Vitals:
    """The gauges of one worker."""

    def __init__(self, app: LoanrouterApp, guide: Guide, router: Router, book: RedisBook) -> None:
        self._app = app
        self._guide = guide
        self._router = router
        self._book = book
        self._usage: dict[str, Usage] = {}
        self._was_assigned = False

    async def watch(self) -> None:
        """Ask Kafka and Redis again and again; what cannot be had now is asked for the next time."""
        while not self._app.should_stop:
            await self._look_ahead()
            self._usage = await self._ask_for_usage()
            await self._app.sleep(WATCH_SECONDS)  # ends with the application

    def waits(self) -> str | None:
        """Why the worker is not ready on behalf of its inputs; None when it is."""
        longest = max((lag.seconds for lag in self._app.consumer.lags().values()), default=0.0)
        if longest <= self._app.settings.ready_lag_seconds:
            return None
        return f"records have waited for {longest:.0f} s"

    def show(self) -> None:
        """Set all gauges."""
        for gauge in (metrics.NEXT_OFFSET, metrics.LAG_RECORDS, metrics.LAG_SECONDS):
            gauge.clear()
        prefix = self._app.settings.topic_prefix
        lags = self._app.consumer.lags()
        for tp, offset in self._app.consumer.done().items():
            labels = (tp.topic.removeprefix(prefix), str(tp.partition))
            metrics.NEXT_OFFSET.labels(*labels).set(offset)
            if tp in lags:
                metrics.LAG_RECORDS.labels(*labels).set(lags[tp].records)
                metrics.LAG_SECONDS.labels(*labels).set(lags[tp].seconds)
        metrics.HELD_BORROWERS.set(self._router.held(self._held()))
        metrics.PARTITIONS.set(self._app.settings.partitions)
        self._show_phase()
        self._show_funders()
        self._show_quotas()

    def _held(self) -> frozenset[int]:
        topics = self._app.batch_agents["route"].topics
        return frozenset(tp.partition for tp in self._app.consumer.done() if tp.topic in topics)

    def _show_phase(self) -> None:
        recovery = cast(QuickTableManager, self._app.tables).recovery
        left = {agent.table.name: 0 for agent in self._app.batch_agents.values()}
        for tp, records in recovery.active_remaining().items():
            left[recovery.tp_to_table[tp].name] += max(records, 0)
        for table, records in left.items():
            metrics.RECOVERY_RECORDS.labels(table).set(records)
        self._was_assigned = self._was_assigned or bool(self._app.consumer.assignment())
        now = self._phase()
        for phase in PHASES:
            metrics.PHASE.labels(phase).set(phase == now)

    def _phase(self) -> str:
        if self._app.should_stop:
            return "stopping"
        if self._app.tables.actives_ready and not self._app.rebalancing:
            return "running"
        return "recovering" if self._was_assigned else "starting"

    def _show_funders(self) -> None:
        gauges = (metrics.FUNDER_STATE, metrics.FUNDER_MULTIPLIER, metrics.FUNDER_PASS_RATE, metrics.FUNDER_WEIGHT)
        for gauge in (*gauges, metrics.DETECTOR_MISSES):
            gauge.clear()
        states = self._guide.states
        weights = {}
        for funder in self._guide.policy.config.funders:
            state = states.get(funder.id)
            multiplier = 1.0 if state is None else state.traffic_multiplier
            for name in STATES:
                metrics.FUNDER_STATE.labels(funder.id, name).set(name == ("normal" if state is None else state.state))
            metrics.FUNDER_MULTIPLIER.labels(funder.id).set(multiplier)
            for grade in funder.grades:
                rates = {} if state is None else state.pass_rates
                metrics.FUNDER_PASS_RATE.labels(funder.id, grade).set(rates.get(grade, funder.pass_rate_prior.rate))
            for each in () if state is None else state.silent:
                missing = metrics.DETECTOR_MISSES.labels(funder.id, each.detector, each.segment)
                missing.set(each.needed - each.events)
            weights[funder.id] = 0.0 if funder.status == "paused" else funder.weight * multiplier
        total = sum(weights.values())
        for funder_id, weight in weights.items():
            metrics.FUNDER_WEIGHT.labels(funder_id).set(weight / total if total else 0.0)

    def _show_quotas(self) -> None:
        for gauge in (metrics.QUOTA_USED_FEN, metrics.QUOTA_USED, metrics.QUOTA_LIMIT_FEN, metrics.QUOTA_LIMIT):
            gauge.clear()
        for funder_id, limits in self._guide.policy.limits.items():
            metrics.QUOTA_LIMIT_FEN.labels(funder_id).set(limits.daily_amount)
            metrics.QUOTA_LIMIT.labels(funder_id).set(limits.daily_count)
            if (used := self._usage.get(funder_id)) is not None:
                metrics.QUOTA_USED_FEN.labels(funder_id).set(used.amount)
                metrics.QUOTA_USED.labels(funder_id).set(used.count)

    async def _look_ahead(self) -> None:
        try:
            await self._app.consumer.look_ahead()
        except (KafkaError, OSError) as error:
            log.warning("cannot ask Kafka where the inputs end: %s", error)
        except Exception:
            if not self._app.should_stop:  # else it is whatever a consumer says that was stopped meanwhile
                raise

    async def _ask_for_usage(self) -> dict[str, Usage]:
        """What each funder holds of its quotas now; nothing when it is not known."""
        now = int(time() * 1000) if self._app.settings.clock == "wall" else self._guide.reached
        if not now:
            return {}
        try:
            return await self._book.usage(shanghai_day(now), now, self._guide.policy.limits)
        except (BookUnavailable, NeedsRestore):
            return {}
