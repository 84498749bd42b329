"""What is done to the servers and topics around the workers."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import ConsumerRecord

from streams.topics import APP, create_topics, partition_counts, topic_name
from tests.brokers import ApacheCluster, ApacheKafka
from tests.faults.scene import WORKERS, Scene, Unexpected
from tests.processes import COMMAND

BROKER_PAUSE_SECONDS = 30
BROKER_AWAY_SECONDS = 10
REDIS_PAUSE_SECONDS = 20
REDIS_AWAY_SECONDS = 3
SLOW_SECONDS, SLOW_DELAY = 20, 0.3
REFUSED = 2
REFUSAL_SECONDS = 60
CHANGELOG = f"{APP}-borrowers-changelog"
Copy = list[list[ConsumerRecord[bytes, bytes]]]
"""The records of a topic, by partition."""


def broker_restart(scene: Scene) -> None:
    """Stop or kill the broker, and start it."""
    kafka = scene.kafka
    assert isinstance(kafka, ApacheKafka)
    with scene.strike():
        scene.dice.choice((kafka.stop, kafka.kill))()
        kafka.start()


def broker_pause(scene: Scene) -> None:
    """Freeze the broker."""
    kafka = scene.kafka
    assert isinstance(kafka, ApacheKafka)
    with scene.strike():
        kafka.pause()
        try:
            scene.work_on(BROKER_PAUSE_SECONDS)
        finally:
            kafka.resume()


def broker_lost(scene: Scene) -> None:
    """Kill one of the brokers, and let it come back."""
    cluster = scene.kafka
    assert isinstance(cluster, ApacheCluster)
    node = scene.dice.choice(cluster.nodes)
    with scene.strike():
        node.kill()
        scene.work_on(BROKER_AWAY_SECONDS)
        node.start()


def redis_restart(scene: Scene) -> None:
    """Let Redis go and come back empty."""
    with scene.strike(), scene.redis.away():
        scene.work_on(REDIS_AWAY_SECONDS)


def redis_pause(scene: Scene) -> None:
    """Freeze Redis."""
    with scene.strike():
        os.kill(scene.redis.pid, signal.SIGSTOP)
        try:
            scene.work_on(REDIS_PAUSE_SECONDS)
        finally:
            os.kill(scene.redis.pid, signal.SIGCONT)


def redis_slow(scene: Scene) -> None:
    """Let Redis be far away."""
    with scene.strike():
        scene.proxy.delay = SLOW_DELAY
        scene.work_on(SLOW_SECONDS)
        scene.proxy.delay = 0.0


def changelog_missing(scene: Scene) -> None:
    """Lose the changelog while nobody works, and put it back from a copy."""

    async def lose(admin: AIOKafkaAdminClient, topic: str) -> None:
        await _delete(scene, admin, topic)
        await create_topics(scene.settings)

    _lose_changelog(scene, lose)


def changelog_truncated(scene: Scene) -> None:
    """Lose the changelog's beginning while nobody works, and put it back from a copy."""

    async def lose(admin: AIOKafkaAdminClient, topic: str) -> None:
        consumer = AIOKafkaConsumer(**scene.settings.kafka_client_args())
        async with consumer:
            ends = await consumer.end_offsets([TopicPartition(topic, n) for n in range(scene.settings.partitions)])
        for policy in ("delete", "compact"):  # Kafka truncates no compacted topic
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": policy})])
            if policy == "delete":
                await asyncio.sleep(1)
                await admin.delete_records({tp: RecordsToDelete(end // 2) for tp, end in ends.items()})

    _lose_changelog(scene, lose)


def _lose_changelog(scene: Scene, lose: Callable[[AIOKafkaAdminClient, str], Coroutine[Any, Any, None]]) -> None:
    topic = topic_name(scene.settings, CHANGELOG)
    with scene.strike():
        for name in WORKERS:
            scene.end(name, signal.SIGTERM)
        copy = asyncio.run(_copied(scene, topic))
        asyncio.run(_administer(scene, topic, lose))
        for name in WORKERS:  # with a local store that knows more than the changelog
            _expect_refusal(scene, name)
        asyncio.run(_administer(scene, topic, lambda admin, _: _put_back(scene, admin, topic, copy)))
        scene.start(*WORKERS)
        scene.wait_ready(*WORKERS)


def _expect_refusal(scene: Scene, name: str) -> None:
    settings = scene.settings
    environment = settings.environment() | {"LOANROUTER_DATA": str(scene.workers.data(name))}
    try:
        done = subprocess.run(
            [COMMAND, "worker"],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=REFUSAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unexpected("a worker went on without its changelog") from None
    said = done.stderr.strip().splitlines()[-1:]
    if done.returncode != REFUSED or CHANGELOG not in "".join(said):
        raise Unexpected(f"a worker without its changelog ended with {done.returncode}: {said}")


async def _administer(
    scene: Scene, topic: str, act: Callable[[AIOKafkaAdminClient, str], Coroutine[Any, Any, None]]
) -> None:
    admin = AIOKafkaAdminClient(**scene.settings.kafka_client_args())
    await admin.start()
    try:
        await act(admin, topic)
    finally:
        await admin.close()


async def _copied(scene: Scene, topic: str) -> Copy:
    copy: Copy = []
    async with AIOKafkaConsumer(**scene.settings.kafka_client_args()) as consumer:
        for partition in range(scene.settings.partitions):
            tp = TopicPartition(topic, partition)
            end = (await consumer.end_offsets([tp]))[tp]
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            records: list[ConsumerRecord[bytes, bytes]] = []
            while await consumer.position(tp) < end:
                for found in (await consumer.getmany(timeout_ms=500)).values():
                    records += found
            if [record.offset for record in records] != list(range(end)):
                raise Unexpected(f"{topic} cannot be copied: it has been compacted")
            copy.append(records)
    return copy


async def _delete(scene: Scene, admin: AIOKafkaAdminClient, topic: str) -> None:
    await admin.delete_topics([topic])
    async with asyncio.timeout(30):
        while topic in await partition_counts(scene.settings):  # noqa: ASYNC110  # it is the broker's to end
            await asyncio.sleep(0.1)


async def _put_back(scene: Scene, admin: AIOKafkaAdminClient, topic: str, copy: Copy) -> None:
    await _delete(scene, admin, topic)
    await create_topics(scene.settings)
    async with AIOKafkaProducer(
        **scene.settings.kafka_client_args(), acks="all", enable_idempotence=True, max_request_size=2**23
    ) as producer:
        for partition, records in enumerate(copy):
            sent = [
                await producer.send(topic, r.value, r.key, partition, r.timestamp, list(r.headers)) for r in records
            ]
            placed = [(await each).offset for each in sent]
            if placed != [r.offset for r in records]:
                raise Unexpected(f"{topic} could not be put back as it was")
