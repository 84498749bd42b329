"""The faults, as a table: what is done, and what is expected beside the ledger, which must balance after each."""

from collections.abc import Callable
from typing import NamedTuple

from tests.faults import around, inside
from tests.faults.scene import Scene

LEDGER = """one terminal result for each drawdown, none doubled, no quota or guarantee ratio overrun, dead letters
exact, replay equal"""


class Fault(NamedTuple):
    """`play` does it once to a scene; `times` is how often in the long run."""

    done: str
    expected: str
    play: Callable[[Scene], None]
    times: int = 1
    brokers: int = 1


FAULTS = {
    "kill": Fault(
        "kill -9 of a worker at a random moment", "the other one takes over, the killed one comes back", inside.kill, 20
    ),
    "rolling-restart": Fault(
        "SIGTERM to one worker after the other, each started again",
        "each ends with 0, the other takes its partitions meanwhile",
        inside.rolling_restart,
        3,
    ),
    "rebalance-storm": Fault(
        "a third worker joins and leaves six times, often before it has any work",
        "partitions go to and fro",
        inside.rebalance_storm,
    ),
    "broker-restart": Fault(
        "the only broker is stopped and started, or killed and started",
        "workers wait, or crash and are started again",
        around.broker_restart,
        4,
    ),
    "broker-pause": Fault("the only broker freezes for 30 s (SIGSTOP)", "workers wait", around.broker_pause),
    "broker-lost": Fault(
        "one of three brokers is killed for 10 s, with replication 3 and two in-sync replicas needed",
        "the other two go on",
        around.broker_lost,
        3,
        brokers=3,
    ),
    "redis-restart": Fault(
        "Redis goes for 3 s and comes back empty", "the workers tell it again what they hold", around.redis_restart, 3
    ),
    "redis-pause": Fault("Redis freezes for 20 s (SIGSTOP)", "nothing is decided on a guess", around.redis_pause),
    "redis-slow": Fault(
        "Redis answers 600 ms later, for 20 s", "decisions come later, and catch up", around.redis_slow
    ),
    "full-disk": Fault(
        "a worker's files may grow no more", "it ends with 1 and goes on when there is room", inside.full_disk
    ),
    "corrupt-store": Fault(
        "a stopped worker's local store is overwritten", "it reads the changelog instead", inside.corrupt_store, 2
    ),
    "clock-jump": Fault(
        "a publisher's clock is 20 minutes ahead, then an hour behind",
        "what is ahead becomes a dead letter, what is behind counts as late",
        inside.clock_jump,
    ),
    "poison": Fault("1,000 bad records of every kind at once", "a dead letter for each", inside.poison),
    "burst": Fault("ten times as many borrowers for 10 s", "the backlog is worked off", inside.burst),
    "changelog-missing": Fault(
        "the changelog of the borrowers is deleted, made empty, and put back from a copy",
        "workers refuse to start with 2 until it is back",
        around.changelog_missing,
    ),
    "changelog-truncated": Fault(
        "the changelog of the borrowers loses its beginning, and is put back from a copy",
        "workers refuse to start with 2 until it is back",
        around.changelog_truncated,
    ),
    "two-revisions": Fault(
        "two revisions in the same moment", "every decision names the one it was made under", inside.two_revisions, 3
    ),
    "silent-funder": Fault("a funder never answers again", "its reservations end by themselves", inside.silent_funder),
}
