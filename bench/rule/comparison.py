"""The engines that run the rule, and what they are given."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from bench import kafka_streams
from bench.compare import Comparison
from bench.ground import Laid, Record, Topics
from bench.run import APPEND_TIME, DECISIONS, REQUESTS, Engine, Load
from config.settings import Settings
from streams.topics import topic_name

REQUESTS_PER_BORROWER = 20
CHANGELOG = "loanrouter-borrowers-changelog"
_START = 1_790_000_000_000
_KEPT_FOREVER = {"retention.ms": "-1"}


def engines() -> list[Engine]:
    """All engines, ours first. Slow ones get a part of the load."""
    faust = Engine("faust", "Faust as it comes", _python("plain_faust", "worker", "-l", "info"), share=0.02)
    return [
        Engine("loanrouter-stream", "our batched stream (a Faust application)", _python("batched")),
        Engine("confluent-loop", "plain loop, confluent-kafka", _python("confluent_loop")),
        Engine("aiokafka-loop", "plain loop, aiokafka getmany + send_batch", _python("aiokafka_loop")),
        Engine("kafka-streams", "Kafka Streams 4.3.1 (Java)", kafka_streams.command()),
        Engine(
            "quix-streams",
            "Quix Streams 3",
            _python("quix"),
            share=0.25,
            changelog="changelog__{prefix}loanrouter--{prefix}drawdown-requests--default",
        ),
        Engine(
            "faust-by-hand",
            "Faust, take_events and own batch writes",
            _python("faust_by_hand", "worker", "-l", "warn"),
            share=0.1,
        ),
        replace(
            faust,
            name="faust-tuned",
            title="Faust, tuned (linger, uvloop, quiet logs)",
            command=_python("plain_faust", "worker", "-l", "warn"),
            env={"BENCH_TUNED": "1"},
        ),
        faust,
    ]


def comparison(folder: Path, events: int) -> Comparison:
    """All engines on about `events` requests."""
    return Comparison("rule", engines(), partial(load, events), prepare, folder / "unused.yaml")


def load(events: int, share: float) -> Load:
    """About `events` requests, twenty of each borrower, and a fifth as many for the warm-up.

    With a `share` below 1 those of that part of the borrowers, whose requests are the same.
    """
    borrowers = max(10, round(events * share / REQUESTS_PER_BORROWER))
    more = max(10, borrowers // 5)
    return Load(
        known=Laid.out(()),
        warm_up=Laid.out(_requests("warm", more)),
        measured=Laid.out(_requests("cust", borrowers)),
        decisions=borrowers * REQUESTS_PER_BORROWER,
    )


async def prepare(topics: Topics, settings: Settings) -> None:
    """The topics that the rule reads and writes."""
    await topics.create([topic_name(settings, REQUESTS)], _KEPT_FOREVER)
    await topics.create([topic_name(settings, CHANGELOG)], {"cleanup.policy": "compact"})
    await topics.create([topic_name(settings, DECISIONS)], APPEND_TIME)


def _requests(name: str, borrowers: int) -> Iterator[Record]:
    for number in range(REQUESTS_PER_BORROWER):
        for borrower in range(borrowers):
            customer_id = f"{name}-{borrower:06d}"
            body = {
                "event_id": f"{customer_id}-{number}",
                "drawdown_id": f"dd-{customer_id}-{number}",
                "customer_id": customer_id,
                "amount": 10_000 * (1 + (borrower + number) % 300),
                "term_months": 12,
            }
            yield Record(REQUESTS, customer_id.encode(), msgspec.json.encode(body), _START + number)


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"bench.rule.{module}", *arguments)
