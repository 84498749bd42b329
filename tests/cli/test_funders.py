"""`loanrouter funders`: where funders stand, and a person's word, on a broker without workers."""

import asyncio
import json
import uuid
from dataclasses import replace

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from cli.main import main
from config.settings import Settings
from rotation.clock import rfc3339
from rotation.outputs import FunderState, SilentDetector, encode
from streams.embedded import EmbeddedKafka
from streams.reading import read_topics
from streams.topics import create_topics, topic_name
from tests.config.changes import FIRST

AT = 1_600_000_000_000
SILENT = [SilentDetector("pass_rate", "grade A", 41, 200)]
STATE = FunderState("cf-west", {"A": 0.5}, "throttled", 0.5, rfc3339(AT), "canary", 7, {"A": 0.1}, SILENT, 1.5)


@pytest.fixture
def kafka(embedded_kafka: EmbeddedKafka) -> Settings:
    """Topics of its own, in stream time."""
    settings = Settings(kafka=embedded_kafka.bootstrap, topic_prefix=f"f{uuid.uuid4().hex[:8]}.", clock="stream")
    settings = replace(settings, partitions=1, kafka_idempotence=False)
    asyncio.run(create_topics(settings))
    return settings


def funders(settings: Settings, *words: str, answer: str | None = None) -> Result:
    """Run `loanrouter funders`."""
    return CliRunner().invoke(main, ["funders", *words], env=settings.environment(), input=answer)


def publish(settings: Settings, *states: FunderState) -> None:
    """A first revision, and these records at `AT`."""

    async def send() -> None:
        async with AIOKafkaProducer(**settings.kafka_client_args()) as producer:
            await producer.send_and_wait(topic_name(settings, "rotation-config"), FIRST, b"config")
            for state in states:
                topic = topic_name(settings, "funder-states")
                await producer.send_and_wait(topic, encode(state), state.funder_id.encode(), timestamp_ms=AT)

    asyncio.run(send())


def written(settings: Settings) -> list[tuple[int, bytes | None]]:
    """Timestamp and value of each record of `funder-states`."""

    async def read() -> list[tuple[int, bytes | None]]:
        return [(each.timestamp, each.value) async for each in read_topics(settings, ["funder-states"])]

    return asyncio.run(read())


def test_list_tells_where_each_stands(kafka: Settings) -> None:
    """Also a funder of which nothing was heard, and what the configuration pauses."""
    assert "no configuration is active yet" in funders(kafka, "list").stderr
    publish(kafka, STATE)
    environment = {**kafka.environment(), "USER": "otto"}
    done = CliRunner().invoke(main, ["config", "pause", "trust-south", "--reason", "a test"], env=environment)
    assert done.exit_code == 0, done.output
    rows = {row["funder_id"]: row for row in json.loads(funders(kafka, "list", "--json").stdout)}
    assert rows["cf-west"] == {
        "funder_id": "cf-west",
        "status": "active",
        "state": "throttled",
        "traffic_multiplier": 0.5,
        "since": rfc3339(AT),
        "cause": "canary",
        "version": 7,
    }
    unheard = rows["trust-south"]
    assert (unheard["state"], unheard["traffic_multiplier"], unheard["cause"]) == ("normal", 1.0, "no outcomes yet")
    assert (unheard["status"], unheard["since"], unheard["version"]) == ("paused", None, None)
    line = next(line for line in funders(kafka, "list").stdout.splitlines() if line.startswith("trust-south"))
    assert line.endswith("no outcomes yet; paused by the configuration")


def test_set_changes_the_step_alone(kafka: Settings) -> None:
    """In stream time, with a version far above the highest, which need not be the last one's."""
    publish(kafka, msgspec.structs.replace(STATE, version=70), STATE)
    done = funders(kafka, "set", "cf-west", "probing", "--reason", "looked into", "--yes", "--json")
    assert done.exit_code == 0, done.output
    state = msgspec.json.decode(done.stdout, type=FunderState)
    cause = "by a person: looked into"
    assert state == msgspec.structs.replace(STATE, state="probing", traffic_multiplier=0.05, cause=cause, version=1070)
    assert written(kafka)[-1] == (AT, done.stdout.strip().encode())
    funders(kafka, "set", "cf-west", "normal", "--reason", "x", "--yes")
    assert msgspec.json.decode(written(kafka)[-1][1] or b"", type=FunderState).traffic_multiplier == 1.0


def test_set_asks_first(kafka: Settings) -> None:
    """It tells what stands; without a yes nothing is written."""
    publish(kafka, STATE)
    done = funders(kafka, "set", "cf-west", "normal", "--reason", "x", answer="n\n")
    assert done.exit_code == 1
    assert "cf-west is throttled (canary). Make it normal?" in done.stderr
    assert len(written(kafka)) == 1
    done = funders(kafka, "set", "cf-west", "normal", "--reason", "x", answer="y\n")
    assert (done.exit_code, len(written(kafka))) == (0, 2)


def test_a_funder_that_there_is_not(kafka: Settings) -> None:
    """2, with those that there are; nothing is written."""
    publish(kafka)
    done = funders(kafka, "set", "nobody", "normal", "--reason", "x", "--yes")
    assert done.exit_code == 2
    assert "no such funder: nobody; there are " in done.stderr
    assert "cf-west" in done.stderr
    assert written(kafka) == []
