"""The scene of a fault: workers under load on Apache Kafka, what may be done around them, and the check at the end."""

import asyncio
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from config.load import load_file
from config.revisions import first_revision
from config.rotation import Revision
from config.settings import Settings
from market.audit import Report
from market.drive import Drive, now_ms
from market.journal import Journal
from market.publication import Publication
from streams.embedded import LOOPBACK, free_port
from streams.topics import create_topics
from tests.brokers import ApacheCluster, ApacheKafka, ComingAndGoing
from tests.faults.crowd import Crowd
from tests.faults.proxy import SlowProxy
from tests.ledger.judge import judge
from tests.processes import COMMAND, Workers

CONFIG = Path(__file__).parents[2] / "market" / "rotation.yaml"
#: Drawdowns on hold are waited for at the end of a run.
CHANGED = ("holding: {seconds: 20}", "holding: {seconds: 8}")
RATE = 40.0
"""Drawdowns a second; each brings some four events more."""
WORKERS = ("first", "second")
CRASHED = 1
LATE_MS = 2_000
CALM_SECONDS = 4.0
RECOVERY_SECONDS = 180.0
REPLAY_SECONDS = 600
_TURN_SECONDS = 0.05


class Unexpected(Exception):
    """Something happened in a run that the fault's expectation does not allow."""


class Struck(NamedTuple):
    """One blow: how long (s) its cause held, and how long after that drawdowns were late."""

    held: float
    recovery: float


@dataclass
class Scene:
    """What a fault finds. `dice` is all its chance; `struck` what it has done so far."""

    settings: Settings
    kafka: ApacheKafka | ApacheCluster
    redis: ComingAndGoing
    proxy: SlowProxy
    workers: Workers
    journal: Journal
    dice: Random
    revisions: list[Revision]
    market: "Future[Crowd]" = field(default_factory=Future)
    struck: list[Struck] = field(default_factory=list)
    restarts: int = 0
    _drive: Drive | None = None
    _loop: "Future[asyncio.AbstractEventLoop]" = field(default_factory=Future)
    _until: asyncio.Event = field(default_factory=asyncio.Event)
    _driven: "Future[int]" = field(default_factory=Future)

    # -- workers

    def start(self, *names: str) -> None:
        """Start workers."""
        for name in names:
            self.workers.start(name)

    def end(self, name: str, number: signal.Signals) -> None:
        """End one by a signal."""
        self.supervise()
        self.workers.signal(name, number)

    def wait_ready(self, *names: str) -> None:
        """Wait until these are ready; one that crashes meanwhile is started again."""
        self.until(lambda: all(self.workers.page(name, "/readyz").status == 200 for name in names), RECOVERY_SECONDS)

    def supervise(self) -> None:
        """Start again who crashed, as whatever runs workers does; raises `Unexpected` for another end."""
        for name, code in self.workers.ended().items():
            if code != CRASHED:
                raise Unexpected(f"worker {name} ended with {code}")
            self.restarts += 1
            self.workers.start(name)

    # -- time

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until the condition holds; raises `Unexpected` after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Unexpected(f"it did not happen within {seconds:.0f} s")
            self.work_on(_TURN_SECONDS)

    def work_on(self, seconds: float) -> None:
        """Let time pass."""
        deadline = time.monotonic() + seconds
        while True:
            if self._driven.done():
                raise Unexpected(f"the market ended too early: {self._driven.exception()}")
            self.supervise()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _TURN_SECONDS))

    @contextmanager
    def strike(self) -> Iterator[None]:
        """Inside, the cause of a fault holds; then waits until no drawdown is late for a while.

        Raises `Unexpected` when that does not come.
        """
        begun = time.monotonic()
        yield
        ended = time.monotonic()
        late = ended
        while time.monotonic() - late < CALM_SECONDS:
            since = self.journal.waiting_since
            if since is not None and now_ms() - since > LATE_MS:
                late = time.monotonic()
            if late - ended > RECOVERY_SECONDS:
                raise Unexpected(f"drawdowns are still late {RECOVERY_SECONDS:.0f} s after the fault")
            self.work_on(_TURN_SECONDS)
        self.struck.append(Struck(ended - begun, late - ended))

    # -- the market

    def publish(self, items: Iterable[Publication]) -> None:
        """Publish these too, each at its time."""
        assert self._drive is not None
        self._loop.result(60).call_soon_threadsafe(self._drive.add, list(items))

    def open(self, seed: int) -> ThreadPoolExecutor:
        """Let the market begin, in a thread of its own."""
        config = self.revisions[0].config

        def market(start: int) -> Crowd:
            crowd = Crowd(config, seed=seed, rate=RATE, start=start)
            self.market.set_result(crowd)
            return crowd

        async def play() -> int:
            self._loop.set_result(asyncio.get_running_loop())
            assert self._drive is not None
            return await self._drive.run(market, self._until)

        self._drive = Drive(self.settings, self.journal, hold_out=True)
        thread = ThreadPoolExecutor(1)
        self._driven = thread.submit(asyncio.run, play())
        return thread

    def close(self) -> int:
        """Let the market end, and give when it did (ms)."""
        self._loop.result(60).call_soon_threadsafe(self._until.set)
        while not self._driven.done():
            self.supervise()
            time.sleep(_TURN_SECONDS)
        return self._driven.result()


class Checked(NamedTuple):
    """The check of the ledger at the end of a run: the audit, and what replay made of it."""

    report: Report
    published: int
    replayed: int
    differing: int


@contextmanager
def scene(kafka: ApacheKafka | ApacheCluster, folder: Path, seed: int) -> Iterator[Scene]:
    """Two workers that serve a market; not inside a running event loop."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "rotation.yaml"
    text = CONFIG.read_text()
    assert text.count(CHANGED[0]) == 1, "the market's configuration has changed"
    config.write_text(text.replace(*CHANGED))
    with ComingAndGoing() as redis, SlowProxy(redis.port) as proxy:
        redis.come()
        settings = Settings(
            kafka=kafka.bootstrap,
            redis=f"redis://{LOOPBACK}:{proxy.port}/0",
            config=config,
            topic_prefix=f"fault-{uuid.uuid4().hex[:8]}.",
            partitions=4,
            replication=3 if isinstance(kafka, ApacheCluster) else 1,
            web_port=free_port(),
            data=folder,
            cache_mb=16,
            session_timeout_seconds=6,
        )
        asyncio.run(create_topics(settings))
        with Workers(settings) as workers:
            revisions = [first_revision(load_file(config))]
            found = Scene(settings, kafka, redis, proxy, workers, Journal(), Random(seed), revisions)
            found.start(*WORKERS)
            workers.wait_ready(*WORKERS)
            with found.open(seed):
                try:
                    found.until(lambda: found.journal.statuses.total() > 5 * RATE, 60)
                    yield found
                finally:
                    if not found._driven.done():
                        found.close()


def check(found: Scene) -> Checked:
    """End the market, then judge all that is in the topics, and decide it again."""
    ended_at = found.close()
    found.workers.stop()
    journal, settings = found.journal, found.settings
    report = judge(journal, found.revisions, ended_at=ended_at, prefix=settings.topic_prefix)
    done = subprocess.run(
        [COMMAND, "replay", "--check", "--json", f"--config={settings.config}"],
        env=os.environ | settings.environment(),
        capture_output=True,
        text=True,
        timeout=REPLAY_SECONDS,
        check=False,
    )
    if not done.stdout:
        raise Unexpected(f"replay failed: {done.stderr[-500:]}")
    told = json.loads(done.stdout)
    return Checked(report, journal.published, told["decisions"], len(told["differing"]))
