"""The services that the tests of this folder share: one on each clock, once on each broker."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka.structs import RecordMetadata

from streams.embedded import EmbeddedRedis
from tests.conftest import Broker
from tests.worker.service import Item, Service

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests" / "contract" / "examples"


class Refused(NamedTuple):
    """A record that was published, where it went, and for which reason it must be refused."""

    item: Item
    sent: RecordMetadata
    reason: str


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
        settings = kafka.settings(
            redis.url, data, config=ROOT / "config" / "rotation.yaml", partitions=8, clock="stream"
        )
        with Service(settings) as service:
            service.create_topics()
            service.workers.start("only")
            service.workers.wait_ready("only")
            for line in examples("story.jsonl"):
                service.publish(_item(line))
                service.settle(line["key"])
            yield Opening(service, [_refuse(service, line) for line in examples("bad.jsonl")])


@pytest.fixture
def stream(opening: Opening) -> Service:
    """The worker on the stream clock; its stream time may have come to any `Service.day` before."""
    return opening.service


def _refuse(service: Service, line: dict[str, Any]) -> Refused:
    item = _item(line)
    (sent,) = service.publish(item)
    return Refused(item, sent, line["reason"])


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
