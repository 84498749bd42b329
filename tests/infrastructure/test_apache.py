"""The Apache Kafka of the tests can be crashed, frozen and brought back with its data, and never skips silently."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.brokers import ApacheKafka, BrokerError

RECORDS = TopicPartition("records", 0)


@pytest.fixture
def own_kafka() -> Iterator[ApacheKafka]:
    """A broker of this test alone, which it may crash."""
    with ApacheKafka() as broker:
        yield broker


async def write(broker: ApacheKafka, value: bytes) -> None:
    """Write one record and wait until the broker has it."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        await producer.send_and_wait(RECORDS.topic, value, partition=RECORDS.partition)


async def read(broker: ApacheKafka, count: int) -> list[bytes]:
    """The first `count` values."""
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([RECORDS])
        return [(await consumer.getone()).value for _ in range(count)]


async def answers(broker: ApacheKafka) -> bool:
    """Whether the broker answers a client within a second."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap, request_timeout_ms=1000)
    with contextlib.suppress(KafkaError):
        await admin.start()
        await admin.close()
        return True
    await admin.close()
    return False


@pytest.mark.apache
def test_records_and_address_outlive_a_stop_and_a_crash(own_kafka: ApacheKafka) -> None:
    """After a restart, and after SIGKILL and start, the broker is where it was and has what it had."""
    bootstrap = own_kafka.bootstrap

    asyncio.run(write(own_kafka, b"1"))
    own_kafka.restart()
    asyncio.run(write(own_kafka, b"2"))
    own_kafka.kill()
    assert not asyncio.run(answers(own_kafka))
    own_kafka.start()

    assert own_kafka.bootstrap == bootstrap
    assert asyncio.run(read(own_kafka, 2)) == [b"1", b"2"]


@pytest.mark.apache
def test_a_frozen_broker_answers_again_when_it_goes_on(own_kafka: ApacheKafka) -> None:
    """Between `pause` and `resume` no client gets an answer; nothing is lost by it."""
    asyncio.run(write(own_kafka, b"1"))

    own_kafka.pause()
    assert not asyncio.run(answers(own_kafka))
    own_kafka.resume()

    assert asyncio.run(read(own_kafka, 1)) == [b"1"]


@pytest.mark.parametrize("missing", ["java", "mvn"])
def test_a_machine_without_java_or_maven_fails_with_the_reason(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is an error that names it: tests on Apache Kafka fail then, and do not skip."""
    present = tmp_path / "bin"
    present.mkdir()
    for tool in {"java", "mvn"} - {missing}:
        (present / tool).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(present))
    monkeypatch.setenv("LOANROUTER_TEST_CACHE", str(tmp_path))

    with pytest.raises(BrokerError, match=f"no `{missing}` on the PATH"):
        ApacheKafka().__enter__()
