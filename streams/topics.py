"""Every topic there is, and what a broker must have set for it (contract, sections 2 and 3).

Brokers create a topic that a client merely asks about, with partitions of their own choice: so topics are created
here before anything else touches them, and existing ones are read only from the list of all.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from config.settings import Settings

FOREVER = "-1"
ANY_TIME = str(2**63 - 1)
DEAD_LETTER_BYTES = 2 * 1024 * 1024
_WEEK = str(7 * 24 * 3600 * 1000)
_BROKERS_FOLLOW_SECONDS = 15
_SET_ON_TOPIC = 1
"""The source of a configuration entry that was set on the topic itself, not inherited from the broker."""


class TopicsError(Exception):
    """The broker's topics cannot be made what they must be; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `key` says whose id its records carry; a single partition gives its records one order.

    `history`: replay asks for what compaction would take away, so that is kept as long as Kafka keeps other topics.
    """

    name: str
    key: Literal["customer", "funder", "config", "original"]
    direction: Literal["in", "out", "in/out", "internal"]
    single_partition: bool = False
    compacted: bool = False
    history: bool = False
    forever: bool = False
    max_record_bytes: int | None = None

    def partitions(self, settings: Settings) -> int:
        """How many partitions the topic must have."""
        return 1 if self.single_partition else settings.partitions

    def required_config(self, settings: Settings) -> dict[str, str]:
        """What must be set, also on a topic that exists. Records are stamped with stream time (contract, section 3)."""
        config = {"cleanup.policy": "compact" if self.compacted else "delete"}
        if self.forever or settings.clock == "stream":
            config["retention.ms"] = FOREVER
        if settings.clock == "stream":
            config["message.timestamp.after.max.ms"] = ANY_TIME
        return config

    def initial_config(self, settings: Settings) -> dict[str, str]:
        """What the topic is created with; beyond what is required, operators may change it."""
        config = self.required_config(settings)
        if settings.replication >= 3:
            config["min.insync.replicas"] = "2"
        if self.history:
            config["min.compaction.lag.ms"] = ANY_TIME if settings.clock == "stream" else _WEEK
        if self.max_record_bytes is not None:
            config["max.message.bytes"] = str(self.max_record_bytes)
        return config


APP = "loanrouter"
"""Name of the Faust application and its consumer group, before the prefix."""

TOPICS = (
    TopicSpec("credit-grants", "customer", "in"),
    TopicSpec("drawdown-requests", "customer", "in"),
    TopicSpec("drawdown-outcomes", "customer", "in"),
    TopicSpec("repayments", "customer", "in"),
    TopicSpec("capture-signals", "funder", "in"),
    TopicSpec("routing-decisions", "customer", "out"),
    TopicSpec("credit-applications", "customer", "out"),
    # One partition: `funder_states_version` in a decision is an offset of this topic.
    TopicSpec("funder-states", "funder", "out", single_partition=True, compacted=True, history=True),
    TopicSpec("capture-alerts", "funder", "out"),
    TopicSpec("rotation-config", "config", "in/out", single_partition=True, forever=True),
    # Larger than any input, which it holds whole together with the headers that say why it is here.
    TopicSpec("dead-letters", "original", "out", max_record_bytes=DEAD_LETTER_BYTES),
    TopicSpec("funder-outcomes", "funder", "internal"),
    # What each funder's agent must know of the other funders: small, and read whole by every worker.
    TopicSpec("funder-peers", "funder", "internal", single_partition=True, compacted=True),
    TopicSpec(f"{APP}-borrowers-changelog", "customer", "internal", compacted=True),
    TopicSpec(f"{APP}-funders-changelog", "funder", "internal", compacted=True),
)

BORROWER_INPUTS = tuple(topic.name for topic in TOPICS if topic.key == "customer" and topic.direction == "in")
"""The topics that together hold everything that happens to a borrower: co-partitioned, read as one stream."""


class TopicResult(NamedTuple):
    """What `create_topics` found or did; `topic` is the full name on the broker."""

    topic: str
    partitions: int
    result: Literal["created", "altered", "exists"]


def topic_name(settings: Settings, name: str) -> str:
    """The name on the broker of the topic that the contract calls `name`."""
    return settings.topic_prefix + name


@lru_cache(maxsize=100_000)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def app_id(settings: Settings) -> str:
    """The Faust application id, which is also the consumer group and begins the changelogs' names."""
    return settings.topic_prefix + APP


async def create_topics(settings: Settings) -> list[TopicResult]:
    """Create the topics that are missing, set what is required on those that exist, and wait until the broker shows it.

    May be repeated. Raises `TopicsError`, before anything is changed, when an existing topic has the wrong number of
    partitions, and later when the broker refuses; `aiokafka.errors.KafkaError` when no broker answers.
    """
    async with _admin(settings) as admin:
        existing = await _partition_counts(admin)
        if wrong := _wrong_partitions(settings, existing):
            raise TopicsError("; ".join(wrong))
        created = await _create(admin, settings, [t for t in TOPICS if topic_name(settings, t.name) not in existing])
        altered = await _alter(admin, settings, [t for t in TOPICS if topic_name(settings, t.name) in existing])
        await _wait_until_set(admin, settings)
    results = []
    for topic in TOPICS:
        name = topic_name(settings, topic.name)
        result: Literal["created", "altered", "exists"] = (
            "created" if name in created else "altered" if name in altered else "exists"
        )
        results.append(TopicResult(name, topic.partitions(settings), result))
    return results


async def check_topics(settings: Settings) -> list[str]:
    """What keeps a worker from starting on this broker, in words; empty when all is well.

    `create_topics` puts right all but the wrong number of partitions. Raises as `create_topics` does.
    """
    async with _admin(settings) as admin:
        return await _problems(admin, settings)


async def partition_counts(settings: Settings) -> dict[str, int]:
    """How many partitions each topic of the broker has, by its name there. Raises as `create_topics` does."""
    async with _admin(settings) as admin:
        return await _partition_counts(admin)


async def missing_topics(settings: Settings) -> list[str]:
    """The names on the broker of the topics that do not exist (yet). Raises as `create_topics` does."""
    existing = await partition_counts(settings)
    return [name for topic in TOPICS if (name := topic_name(settings, topic.name)) not in existing]


async def _problems(admin: AIOKafkaAdminClient, settings: Settings) -> list[str]:
    existing = await _partition_counts(admin)
    present = [topic for topic in TOPICS if topic_name(settings, topic.name) in existing]
    actual = await _configs(admin, [topic_name(settings, topic.name) for topic in present])
    problems = [f"{topic_name(settings, topic.name)} does not exist" for topic in TOPICS if topic not in present]
    problems += _wrong_partitions(settings, existing)
    for topic in present:
        name = topic_name(settings, topic.name)
        for key, wanted in topic.required_config(settings).items():
            value = actual[name][key].value if key in actual[name] else "not set"
            if value != wanted:
                problems.append(f"{name} has {key} {value}, must have {wanted}")
    return problems


async def _wait_until_set(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    # Kafka answers when its controller has decided; the brokers follow a moment later.
    deadline = time.monotonic() + _BROKERS_FOLLOW_SECONDS
    while True:
        try:
            problems = await _problems(admin, settings)
        except TopicsError as error:  # one broker may know a topic before another does
            problems = [str(error)]
        if not problems:
            return
        if time.monotonic() > deadline:
            raise TopicsError("; ".join(problems))
        await asyncio.sleep(0.1)


class _Entry(NamedTuple):
    value: str
    set_on_topic: bool


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**settings.kafka_client_args())
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}


def _wrong_partitions(settings: Settings, existing: dict[str, int]) -> list[str]:
    wrong = []
    for topic in TOPICS:
        name, wanted = topic_name(settings, topic.name), topic.partitions(settings)
        if existing.get(name, wanted) != wanted:
            source = "always" if topic.single_partition else "LOANROUTER_PARTITIONS"
            wrong.append(f"{name} has {existing[name]} partitions, must have {wanted} ({source})")
    return wrong


async def _create(admin: AIOKafkaAdminClient, settings: Settings, missing: list[TopicSpec]) -> set[str]:
    if not missing:
        return set()
    response = await admin.create_topics(
        [
            NewTopic(
                topic_name(settings, topic.name),
                topic.partitions(settings),
                settings.replication,
                topic_configs=topic.initial_config(settings),
            )
            for topic in missing
        ]
    )
    created = set()
    for name, code, message in response.topic_errors:
        if code == 0:
            created.add(name)
        elif code != TopicAlreadyExistsError.errno:  # another process may be creating them too
            raise TopicsError(f"{name} cannot be created: {message or for_code(code).description}")
    return created


async def _configs(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, _Entry]]:
    # All entries are asked for: the embedded broker drops the connection when some are picked out.
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs = {}
    for response in await admin.describe_configs(resources) if resources else ():
        for code, message, _, name, entries in response.resources:
            if code != 0:
                raise TopicsError(f"the configuration of {name} cannot be read: {message or for_code(code)}")
            configs[name] = {entry[0]: _Entry(entry[1], entry[3] == _SET_ON_TOPIC) for entry in entries}
    return configs


async def _alter(admin: AIOKafkaAdminClient, settings: Settings, topics: list[TopicSpec]) -> set[str]:
    actual = await _configs(admin, [topic_name(settings, topic.name) for topic in topics])
    resources = []
    for topic in topics:
        name, required = topic_name(settings, topic.name), topic.required_config(settings)
        if any(key not in actual[name] or actual[name][key].value != value for key, value in required.items()):
            # The request replaces all that is set on the topic, so what others have set goes along.
            kept = {key: entry.value for key, entry in actual[name].items() if entry.set_on_topic}
            resources.append(ConfigResource(ConfigResourceType.TOPIC, name, kept | required))
    if not resources:
        return set()
    names = {resource.name for resource in resources}
    try:
        responses = await admin.alter_configs(resources)
    except IncompatibleBrokerVersion:
        raise TopicsError(
            f"this broker cannot change the settings of existing topics (the embedded one cannot): {sorted(names)}"
        ) from None
    for response in responses:
        for code, message, _, name in response.resources:
            if code != 0:
                raise TopicsError(f"{name} cannot be changed: {message or for_code(code).description}")
    return names
