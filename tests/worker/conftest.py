"""The services that the tests of this folder share: one on each clock, once on each broker."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from streams.embedded import EmbeddedRedis
from tests.brokers import ComingAndGoing
from tests.conftest import Broker
from tests.processes import Page, until
from tests.rotation.world import grant, request
from tests.worker.letters import Refused, refuse
from tests.worker.service import Item, Service, now

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "rotation.yaml"
EXAMPLES = ROOT / "tests" / "contract" / "examples"
PAIR = ("one", "two")


class Start(NamedTuple):
    """How two workers started that found neither topics nor Redis at first."""

    service: Service
    redis: ComingAndGoing
    without_topics: list[Page]
    """What `/readyz` of each answered while there were no topics."""
    without_redis: list[Page]
    """What it answered while only Redis was away, with drawdowns waiting."""
    asked: list[str]
    """The drawdowns that waited."""
    decided_too_early: int
    """How many decisions were published while Redis was away."""


class Opening(NamedTuple):
    """A service that has been told the contract's examples, and the bad ones among them."""

    service: Service
    bad: list[Refused]


def examples(name: str) -> list[dict[str, Any]]:
    """The lines of one of the contract's files."""
    return [json.loads(line) for line in (EXAMPLES / name).read_text().splitlines()]


@pytest.fixture(scope="package")
def opening(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opening]:
    """One worker on the stream clock, with the contract's number of partitions, and its first 20 days.

    The story comes line by line in its order; each line is done before the next one is told.
    """
    data = tmp_path_factory.mktemp("stream")
    with EmbeddedRedis() as redis:
        settings = kafka.settings(redis.url, data, config=CONFIG, partitions=8, clock="stream")
        with Service(settings) as service:
            service.create_topics()
            service.workers.start("only")
            service.workers.wait_ready("only")
            for line in examples("story.jsonl"):
                service.publish(_item(line))
                service.settle(line["key"])
            yield Opening(service, [refuse(service, _item(line), line["reason"]) for line in examples("bad.jsonl")])


@pytest.fixture
def stream(opening: Opening) -> Service:
    """The worker on the stream clock; its stream time may have come to any `Service.day` before."""
    return opening.service


@pytest.fixture(scope="package")
def start(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Two workers on the wall clock, ready for work: their funders are open day and night, with large quotas."""
    data = tmp_path_factory.mktemp("wall")
    document = yaml.safe_load(CONFIG.read_text())
    for section in document["funders"]:
        section.update(open="00:00-24:00", quota={"daily_amount": 10**12, "daily_count": 10**6})
    config = data / "rotation.yaml"
    config.write_text(yaml.safe_dump(document))
    with (
        ComingAndGoing() as redis,
        Service(kafka.settings(redis.url, data, config=config, ready_lag_seconds=2)) as service,
    ):
        for name in PAIR:
            service.workers.start(name)
        for name in PAIR:
            until_it_said(service, name)
        without_topics = [service.workers.page(name, "/readyz") for name in PAIR]
        service.create_topics()
        asked = [ask_somebody(service, partition) for partition in range(service.settings.partitions)]
        for name in PAIR:
            until_it_waits_for_redis(service, name)
        without_redis = [service.workers.page(name, "/readyz") for name in PAIR]
        service.catch_up()
        decided = len(service.said("routing-decisions"))
        redis.come()
        service.workers.wait_ready(*PAIR)
        yield Start(service, redis, without_topics, without_redis, asked, decided)


@pytest.fixture
def pair(start: Start) -> Service:
    """The two workers on the wall clock, both ready."""
    start.service.workers.wait_ready(*PAIR)
    return start.service


def ask_somebody(service: Service, partition: int) -> str:
    """Ask for a drawdown of a new borrower with two grants; gives its id."""
    customer_id, drawdown_id = service.customer(partition), f"dd-{service.number()}"
    at = now()
    service.tell(*(grant(funder_id, at, customer_id=customer_id) for funder_id in ("cf-west", "cf-north")))
    service.tell(request(drawdown_id, at, customer_id=customer_id))
    return drawdown_id


def until_it_waits_for_redis(service: Service, name: str) -> None:
    """Wait until a worker has tried in vain for some time to reserve for what it has read."""
    sample = 'loanrouter_reservation_waits_total{why="unavailable"}'
    before = service.workers.metric(name, sample)
    until(lambda: service.workers.metric(name, sample) >= before + 4, 60)


def until_it_said(service: Service, name: str) -> None:
    """Wait until a worker that can not start yet has logged something, which is why."""
    until(lambda: service.workers.log(name), 60)


def _item(line: dict[str, Any]) -> Item:
    coded = line.get("value_base64")
    value = json.dumps(line["value"]).encode() if coded is None else base64.b64decode(coded)
    key = line["key"]
    return Item(
        line["topic"],
        None if line.get("value", "") is None else value,
        None if key is None else key.encode(),
        line["timestamp"],
        (("x-line", json.dumps(line).encode()), ("x-bytes", b"\xff\x00")),
    )
