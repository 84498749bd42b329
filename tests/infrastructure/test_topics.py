"""Topics are created as the contract wants them, on both brokers, and a worker is told what is wrong with them."""

import asyncio
import json
import time
import uuid
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from config.settings import Settings
from streams.embedded import EmbeddedKafka, free_port
from streams.topics import ANY_TIME, BORROWER_INPUTS, TOPICS, TopicsError, check_topics, create_topics, topic_name
from tests.brokers import ApacheKafka
from tests.processes import loanrouter

CONTRACT_TOPICS = {
    "credit-grants",
    "drawdown-requests",
    "drawdown-outcomes",
    "repayments",
    "capture-signals",
    "routing-decisions",
    "credit-applications",
    "funder-states",
    "capture-alerts",
    "rotation-config",
    "dead-letters",
}
HALF_A_YEAR_MS = 182 * 24 * 3600 * 1000


async def topic_configs(settings: Settings, name: str) -> dict[str, str]:
    """What the broker says is set for a topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic_name(settings, name))
        (response,) = await admin.describe_configs([resource])
        return {entry[0]: entry[1] for entry in response.resources[0][4]}
    finally:
        await admin.close()


async def make_topic(settings: Settings, name: str, partitions: int, config: dict[str, str] | None = None) -> None:
    """Create a topic as some other tool would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic_name(settings, name), partitions, 1, topic_configs=config)])
        while topic_name(settings, name) not in await admin.list_topics():  # noqa: ASYNC110  # the broker tells nobody
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


def test_every_topic_of_the_contract_is_in_the_table() -> None:
    """The table holds the contract's topics; what is added is internal."""
    assert {topic.name for topic in TOPICS if topic.direction != "internal"} == CONTRACT_TOPICS
    assert set(BORROWER_INPUTS) == {"credit-grants", "drawdown-requests", "drawdown-outcomes", "repayments"}


def test_created_topics_have_what_the_contract_wants(settings: Settings) -> None:
    """Borrower topics have the wished partitions, the logs with one order have one; compaction is where it belongs."""

    async def scenario() -> tuple[dict[str, int], dict[str, dict[str, str]]]:
        results = await create_topics(settings)
        names = ("drawdown-requests", "funder-states", "rotation-config", "loanrouter-borrowers-changelog")
        prefix = settings.topic_prefix
        partitions = {result.topic.removeprefix(prefix): result.partitions for result in results}
        return partitions, {name: await topic_configs(settings, name) for name in names}

    partitions, configs = asyncio.run(scenario())

    single = {"funder-states", "funder-peers", "rotation-config"}
    assert partitions == {topic.name: 1 if topic.name in single else settings.partitions for topic in TOPICS}
    assert configs["drawdown-requests"]["cleanup.policy"] == "delete"
    assert configs["funder-states"]["cleanup.policy"] == "compact"
    assert configs["loanrouter-borrowers-changelog"]["cleanup.policy"] == "compact"
    assert configs["rotation-config"]["cleanup.policy"] == "delete"
    assert configs["rotation-config"]["retention.ms"] == "-1"


def test_creating_again_changes_nothing(settings: Settings) -> None:
    """The command may be repeated: the second time all topics exist, and nothing is wrong with them."""

    async def scenario() -> tuple[set[str], set[str], list[str]]:
        first: set[str] = {result.result for result in await create_topics(settings)}
        second: set[str] = {result.result for result in await create_topics(settings)}
        return first, second, await check_topics(settings)

    assert asyncio.run(scenario()) == ({"created"}, {"exists"}, [])


def test_missing_topics_are_told_and_not_created_by_asking(settings: Settings) -> None:
    """A check on an empty broker names every topic, twice: asking did not bring them into being."""

    async def scenario() -> tuple[list[str], list[str]]:
        return await check_topics(settings), await check_topics(settings)

    missing = [f"{topic_name(settings, topic.name)} does not exist" for topic in TOPICS]
    assert asyncio.run(scenario()) == (missing, missing)


def test_another_number_of_partitions_is_refused_before_anything_is_changed(settings: Settings) -> None:
    """One existing topic with other partitions: the error names it, and no other topic was created."""

    async def scenario() -> list[str]:
        await make_topic(settings, "repayments", settings.partitions + 1)
        with pytest.raises(TopicsError, match=f"{settings.topic_prefix}repayments has 5 partitions, must have 4"):
            await create_topics(settings)
        return await check_topics(settings)

    problems = asyncio.run(scenario())

    assert f"{settings.topic_prefix}credit-grants does not exist" in problems
    assert f"{settings.topic_prefix}repayments has 5 partitions, must have 4 (LOANROUTER_PARTITIONS)" in problems


def test_the_stream_clock_needs_its_topic_settings(settings: Settings) -> None:
    """Topics made for the wall clock are refused with the stream clock, those made for it are accepted."""
    stream = replace(settings, clock="stream")
    elsewhere = replace(stream, topic_prefix=settings.topic_prefix + "stream.")

    async def scenario() -> tuple[list[str], list[str]]:
        await create_topics(settings)
        await create_topics(elsewhere)
        return await check_topics(stream), await check_topics(elsewhere)

    problems, none = asyncio.run(scenario())

    assert none == []
    for name in BORROWER_INPUTS:
        told = [problem for problem in problems if problem.startswith(f"{settings.topic_prefix}{name} has ")]
        assert {problem.split()[2] for problem in told} == {"retention.ms", "message.timestamp.after.max.ms"}


def test_records_keep_times_of_a_simulated_past_and_future(settings: Settings) -> None:
    """With the stream clock, records half a year away in both directions are accepted with their own time."""
    stream = replace(settings, clock="stream")
    now = time.time_ns() // 1_000_000
    times = [now - HALF_A_YEAR_MS, now + HALF_A_YEAR_MS]
    partition = TopicPartition(topic_name(stream, "drawdown-requests"), 0)

    async def scenario() -> list[int]:
        await create_topics(stream)
        async with AIOKafkaProducer(**stream.kafka_client_args()) as producer:
            for at in times:
                await producer.send_and_wait(partition.topic, b"{}", partition=0, timestamp_ms=at)
        async with AIOKafkaConsumer(**stream.kafka_client_args(), auto_offset_reset="earliest") as consumer:
            consumer.assign([partition])
            return [(await consumer.getone()).timestamp for _ in times]

    assert asyncio.run(scenario()) == times


@pytest.mark.apache
def test_existing_topics_are_fitted_to_the_stream_clock(apache_kafka: ApacheKafka) -> None:
    """On Apache Kafka an existing topic gets the settings it needs, and keeps what an operator has set on it."""
    stream = Settings(kafka=apache_kafka.bootstrap, topic_prefix=f"t{uuid.uuid4().hex}.", partitions=4, clock="stream")

    async def scenario() -> tuple[str, dict[str, str], list[str]]:
        await make_topic(stream, "repayments", stream.partitions, {"segment.bytes": "20000000"})
        results = {result.topic: result.result for result in await create_topics(stream)}
        configs = await topic_configs(stream, "repayments")
        return results[topic_name(stream, "repayments")], configs, await check_topics(stream)

    result, configs, problems = asyncio.run(scenario())

    assert (result, problems) == ("altered", [])
    assert (configs["retention.ms"], configs["message.timestamp.after.max.ms"]) == ("-1", ANY_TIME)
    assert configs["segment.bytes"] == "20000000"


def test_a_broker_that_cannot_change_topics_is_told_so(embedded_kafka: EmbeddedKafka) -> None:
    """On the embedded broker topics made for the wall clock stay so, and the error says why."""
    wall = Settings(kafka=embedded_kafka.bootstrap, topic_prefix=f"t{uuid.uuid4().hex}.", partitions=4)

    async def scenario() -> None:
        await create_topics(wall)
        with pytest.raises(TopicsError, match="cannot change the settings of existing topics"):
            await create_topics(replace(wall, clock="stream"))

    asyncio.run(scenario())


def test_three_replicas_need_two_in_sync() -> None:
    """With three replicas a record counts as written when two have it."""
    minimum = {topic.initial_config(Settings(replication=3)).get("min.insync.replicas") for topic in TOPICS}

    assert minimum == {"2"}


def test_the_command_creates_and_prints_the_topics(settings: Settings) -> None:
    """`topics create --json` ends with 0 and one entry for each topic."""
    env = {"LOANROUTER_KAFKA": settings.kafka, "LOANROUTER_TOPIC_PREFIX": settings.topic_prefix}

    done = loanrouter("topics", "create", "--json", **env)

    assert done.returncode == 0, done.stderr
    assert [entry["topic"] for entry in json.loads(done.stdout)] == [topic_name(settings, t.name) for t in TOPICS]


def test_the_command_says_what_failed_with_its_exit_code() -> None:
    """No broker ends with 1, wrong use and wrong settings with 2; each names its cause, without a traceback."""
    nobody = f"127.0.0.1:{free_port()}"

    unreachable = loanrouter("topics", "create", LOANROUTER_KAFKA=nobody)
    unusable = loanrouter("topics", "create", LOANROUTER_PARTITIONS="many")
    unknown = loanrouter("topics", "destroy")

    assert (unreachable.returncode, unusable.returncode, unknown.returncode) == (1, 2, 2)
    assert nobody in unreachable.stderr
    assert "LOANROUTER_PARTITIONS" in unusable.stderr
    assert "Traceback" not in unreachable.stderr + unusable.stderr + unknown.stderr
