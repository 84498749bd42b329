"""What is done to workers and their folders, and through the topics."""

import asyncio
import resource
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, islice

import msgspec
from aiokafka import AIOKafkaProducer

from config.load import load_file
from config.revisions import encode_record, first_revision
from market.drive import now_ms
from market.market import Market
from market.mischief import bad_records
from market.publication import Publication, moment, publication
from rotation.events import CreditGrant, DrawdownRequest
from streams.topics import topic_name
from tests.faults.crowd import CROWD_FIRST, STRANGER
from tests.faults.scene import RATE, WORKERS, Scene

POISON = 1_000
ASTRAY = 300
AHEAD_MS = 20 * 60_000
DAY_MS = 86_400_000
BEHIND_MS = 3_600_000
BURST_SECONDS, BURST_TIMES = 10, 10
SMALL_FILE = 200_000
"""Bytes to which files may grow on a full disk."""
SILENCE_SECONDS = 30


def kill(scene: Scene) -> None:
    """Kill one at a random moment."""
    scene.work_on(scene.dice.uniform(0.2, 3))
    name = scene.dice.choice(WORKERS)
    with scene.strike():
        scene.end(name, signal.SIGKILL)
        scene.start(name)
    scene.wait_ready(name)


def rolling_restart(scene: Scene) -> None:
    """Restart each gracefully, one after the other."""
    with scene.strike():
        for name in WORKERS:
            scene.end(name, signal.SIGTERM)
            scene.start(name)
            scene.wait_ready(name)


def rebalance_storm(scene: Scene) -> None:
    """Let a third one come and go."""
    with scene.strike():
        for _ in range(6):
            scene.start("third")
            scene.until(lambda: scene.workers.page("third", "/livez").status == 200, 60)
            scene.work_on(scene.dice.uniform(0, 3))
            scene.end("third", signal.SIGTERM)


def full_disk(scene: Scene) -> None:
    """Let no file of one grow any more, until it ends; who starts it again has room."""
    pid, before = scene.workers.pid("second"), scene.restarts
    with scene.strike():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (SMALL_FILE, SMALL_FILE))
        scene.until(lambda: scene.restarts > before, 120)


def corrupt_store(scene: Scene) -> None:
    """Stop one, write over its files, start it."""
    with scene.strike():
        scene.end("second", signal.SIGTERM)
        tables = scene.workers.data("second") / "tables" / "rocksdb"
        files = sorted(tables.glob("*.sst")) + sorted(tables.glob("MANIFEST*"))
        damaged = scene.dice.choice(files)
        damaged.write_bytes(scene.dice.randbytes(damaged.stat().st_size))
        scene.start("second")
        scene.wait_ready("second")


def poison(scene: Scene) -> None:
    """Publish bad records of every kind at once, among the good ones."""
    with scene.strike():
        now = now_ms()
        scene.publish(replace(item, at=now) for item in islice(bad_records(now), POISON))


def clock_jump(scene: Scene) -> None:
    """Have a publisher's clock run ahead, then behind."""
    with scene.strike():
        now = now_ms()
        ahead = (_from_another_clock(number, now + AHEAD_MS) for number in range(ASTRAY))
        scene.publish(replace(item, at=now, ahead_ms=AHEAD_MS, reason="timestamp_in_future") for item in chain(*ahead))
        behind = (_from_another_clock(number, now - BEHIND_MS) for number in range(ASTRAY, 2 * ASTRAY))
        scene.publish(replace(item, at=now, ahead_ms=-BEHIND_MS) for item in chain(*behind))


def burst(scene: Scene) -> None:
    """Let a crowd join the market for a while."""
    crowd = scene.market.result(60)
    with scene.strike():
        start = now_ms()
        config, rate = scene.revisions[0].config, RATE * (BURST_TIMES - 1)
        other = Market(config, seed=scene.dice.randrange(10_000), rate=rate, start=start, first=CROWD_FIRST)
        scene.publish(crowd.join(other, start + 1000 * BURST_SECONDS))
        scene.work_on(BURST_SECONDS)


def two_revisions(scene: Scene) -> None:
    """Publish two revisions in one moment, each with another weight for one funder."""
    with scene.strike():
        document = load_file(scene.settings.config)
        values = []
        for _ in range(2):
            document["funders"][0]["weight"] = scene.dice.randrange(1, 9)
            revision = msgspec.structs.replace(first_revision(document), id=scene.revisions[-1].id + 1)
            scene.revisions.append(revision)
            values.append(encode_record(revision, author="risk", reason="a fault", occurred_at=datetime.now(UTC)))
        asyncio.run(_publish(scene, values))
        scene.until(lambda: all(_revision(scene, name) == scene.revisions[-1].id for name in WORKERS), 30)


def silent_funder(scene: Scene) -> None:
    """Have a funder say nothing for longer than a reservation lasts."""
    with scene.strike():
        scene.market.result(60).silent = scene.dice.choice(scene.revisions[0].config.funders).id
        scene.work_on(SILENCE_SECONDS)


def _from_another_clock(number: int, at: int) -> Iterator[Publication]:
    """A grant and a request of somebody whom nobody else asks about, made at a time (ms)."""
    customer_id = f"{STRANGER}{number}"
    yield publication(
        CreditGrant(
            event_id=f"{customer_id}-grant",
            occurred_at=moment(at),
            customer_id=customer_id,
            funder_id="cf-west",
            status="approved",
            credit_limit=1_000_000,
            apr_bp=1_800,
            expires_at=moment(at + DAY_MS),
        ),
        at,
    )
    yield publication(
        DrawdownRequest(
            event_id=f"{customer_id}-asked",
            occurred_at=moment(at),
            drawdown_id=f"dd-{customer_id}",
            customer_id=customer_id,
            amount=100_000,
            term_months=6,
            region="310000",
            risk_grade="A",
            age=30,
        ),
        at,
    )


async def _publish(scene: Scene, values: Iterable[bytes]) -> None:
    topic = topic_name(scene.settings, "rotation-config")
    async with AIOKafkaProducer(**scene.settings.kafka_client_args(), acks="all") as producer:
        for value in values:
            await producer.send(topic, value, b"config")
        await producer.flush()


def _revision(scene: Scene, name: str) -> float:
    return scene.workers.metric(name, "loanrouter_config_revision")
