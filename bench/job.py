"""`job`: the full job. Credit grants and drawdown requests, one of each in turn, of many borrowers at twelve funders.

Ours against a plain Faust agent that does the same by the same core (`bench.plain_faust`). Quotas and guarantee
ratios are judged but have ample room, and no outcome comes: so each decision depends on its borrower's own records
alone, and is the same whatever order an engine takes partitions in.
"""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.borrowers import Borrower
from bench.compare import Comparison
from bench.configuration import configuration
from bench.ground import Laid, Topics
from bench.run import APPEND_TIME, DECISIONS, Engine, Load
from config.settings import Settings
from streams.topics import create_topics, topic_name

REQUESTS_PER_BORROWER = 6
WARM_UP_BORROWERS = 200
STREAM_CLOCK = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
START = int(datetime(2026, 11, 2, 2, tzinfo=UTC).timestamp() * 1000)  # ten in the morning in Shanghai

OURS = Engine("loanrouter", "loanrouter worker", (sys.executable, "-c", "from cli.main import main; main()", "worker"))
PURE = replace(
    OURS,
    name="loanrouter-python",
    title="loanrouter worker, its core in Python",
    env={"PYTHONPATH": str(Path(__file__).parents[1])},
)
PLAIN = Engine(
    "plain-faust",
    "plain Faust, one event at a time, as it comes",
    (sys.executable, "-m", "bench.plain_faust", "worker", "-l", "info"),
    share=0.05,
)
TUNED = replace(
    PLAIN,
    name="plain-faust-tuned",
    title="plain Faust, one event at a time, tuned (linger, uvloop, quiet logs)",
    command=(sys.executable, "-m", "bench.plain_faust", "worker", "-l", "warn"),
    env={"BENCH_TUNED": "1"},
)
ENGINES = (OURS, PURE, PLAIN, TUNED)


def comparison(folder: Path, events: int) -> Comparison:
    """All engines on about `events` requests."""
    return Comparison("job", ENGINES, partial(load, events), prepare, write_configuration(folder))


def workers(folder: Path, events: int) -> Comparison:
    """One, two and four workers on about `events` requests.

    Each of several workers keeps a copy of another's tables; `no-standby` are two that keep none. One worker beside a
    process that only computes shows what sharing the processors costs.
    """
    one, two, four = (replace(OURS, name=f"workers-{n}", title=f"workers-{n}", processes=n) for n in (1, 2, 4))
    beside = replace(
        one,
        name="worker-beside-a-loop",
        title="one worker, and another process that only computes",
        beside=(sys.executable, "-c", "while True: sum(range(1000))"),
    )
    alone = replace(
        two, name="workers-2-no-standby", title="workers-2, without standbys", env={"LOANROUTER_STANDBYS": "0"}
    )
    engines = [one, beside, alone, two, four]
    return Comparison("workers", engines, partial(load, events), prepare, write_configuration(folder))


def write_configuration(folder: Path) -> Path:
    """The rotation configuration as a file in `folder`."""
    config = folder / "rotation.yaml"
    config.write_text(json.dumps(configuration(), indent=1))  # JSON is YAML too
    return config


def load(events: int, share: float) -> Load:
    """About `events` drawdown requests; with a `share` below 1, those of that part of the borrowers.

    With each request comes a renewed grant of the same borrower. A borrower's records do not depend on how many others
    there are.
    """
    borrowers = max(10, round(events * share / REQUESTS_PER_BORROWER))
    everybody = [Borrower(number, START) for number in range(borrowers + WARM_UP_BORROWERS)]
    return Load(
        known=Laid.out(grant for one in everybody for grant in one.grants()),
        warm_up=Laid.out(one.request(0) for one in everybody[borrowers:]),
        measured=Laid.out(
            record
            for number in range(REQUESTS_PER_BORROWER)
            for one in everybody[:borrowers]
            for record in (one.renewal(number), one.request(number))
        ),
        decisions=borrowers * REQUESTS_PER_BORROWER,
    )


async def prepare(topics: Topics, settings: Settings) -> None:
    """The contract's topics; the decisions are stamped by the broker, so that they tell when they were written."""
    await topics.create([topic_name(settings, DECISIONS)], APPEND_TIME | STREAM_CLOCK)
    await create_topics(settings)
