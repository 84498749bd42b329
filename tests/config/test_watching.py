"""`loanrouter config watch` takes a ramp back whose drawdowns become loans less often than the others."""

import asyncio
import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer

from config.settings import Settings
from rotation.clock import MINUTE, rfc3339
from rotation.events import DrawdownOutcome, millis
from rotation.outputs import encode
from streams.topics import topic_name
from tests.config.test_changing import Desk
from tests.processes import running
from tests.whatif.test_guardrail import decision, outcome

_TTL = 30 * MINUTE


def told(begun: int) -> Iterator[tuple[str, bytes, int]]:
    """40 drawdowns under either revision; all of the old one are lent, none of the new one. Then others, later."""

    def pair(n: int, revision: int, status: str, at: int) -> Iterator[tuple[str, bytes, int]]:
        yield "routing-decisions", encode(decision(n, revision, at=rfc3339(at))), at
        answer: DrawdownOutcome = outcome(n, revision, status)
        yield "drawdown-outcomes", msgspec.json.encode(answer), at + MINUTE

    for n in range(40):
        yield from pair(n, 1, "disbursed", begun + n)
        yield from pair(n, 2, "declined", begun + n)
    yield from pair(40, 1, "disbursed", begun + _TTL + MINUTE)


async def publish(settings: Settings, begun: int) -> None:
    """Write them as workers and the platform do."""
    async with AIOKafkaProducer(**settings.kafka_client_args()) as producer:
        for topic, value, at in told(begun):
            await producer.send(topic_name(settings, topic), value, b"c", partition=0, timestamp_ms=at)


def test_a_ramp_that_brings_no_loans_is_taken_back(settings: Settings, tmp_path: Path) -> None:
    """With the numbers as the reason, as soon as the time of enough drawdowns is over."""
    desk = Desk(settings, tmp_path)
    desk.propose("wei")
    desk.tell("approve", "d", "--author", "li")
    desk.tell("activate", "d", "--author", "wei", "--ramp", "50,100", "--every", "1h")
    asyncio.run(publish(settings, millis(datetime.now(UTC)) + 1))

    with running("config", "watch", "--least", "30", "--json", **settings.environment()) as watch:
        assert watch.stdout is not None
        stopped = json.loads(watch.stdout.readline())
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(30) == 0

    assert (stopped["draft"], stopped["void"]) == ("d", 2)
    assert stopped["reason"].startswith("no loan: 100.0% of 40 drawdowns routed more than 30 minutes ago")
    assert desk.tell("log")[-1]["kind"] == "withdraw"
