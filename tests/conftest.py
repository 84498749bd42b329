"""Brokers and settings for every test that needs them; a server starts with the first test that asks for it."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import redis

from config.settings import Settings
from streams.embedded import EmbeddedKafka, EmbeddedRedis, free_port
from tests.brokers import ApacheKafka, SecuredKafka

# How fast the machine is, which it may share with much else, says nothing about the code.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")


class Broker(NamedTuple):
    """A running Kafka. `idempotence`: whether it has idempotent producers."""

    bootstrap: str
    idempotence: bool

    def settings(self, redis_url: str, data: Path, **more: Any) -> Settings:
        """Settings of one worker, with topics and a port that no other test has. Topics are not created yet."""
        own: dict[str, Any] = {"topic_prefix": f"t{uuid.uuid4().hex[:12]}.", "web_port": free_port(), "data": data}
        broker: dict[str, Any] = {"kafka": self.bootstrap, "kafka_idempotence": self.idempotence, "redis": redis_url}
        return Settings(**own | broker | {"partitions": 4, "session_timeout_seconds": 6} | more)


@pytest.fixture(scope="session")
def embedded_kafka() -> Iterator[EmbeddedKafka]:
    """The embedded broker, shared by the session: use a topic prefix of your own."""
    with EmbeddedKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def apache_kafka() -> Iterator[ApacheKafka]:
    """Apache Kafka, shared by the session: who crashes it brings it back."""
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def secured_kafka() -> Iterator[SecuredKafka]:
    """Apache Kafka that asks who comes, shared by the session."""
    with SecuredKafka() as broker:
        yield broker


@pytest.fixture(scope="session", params=["embedded", pytest.param("apache", marks=pytest.mark.apache)])
def kafka(request: pytest.FixtureRequest) -> Broker:
    """Runs the test once on each broker; `-m "not apache"` leaves the slower one out."""
    broker: EmbeddedKafka | ApacheKafka = request.getfixturevalue(f"{request.param}_kafka")
    return Broker(broker.bootstrap, idempotence=isinstance(broker, ApacheKafka))


@pytest.fixture(scope="session")
def embedded_redis() -> Iterator[EmbeddedRedis]:
    """The embedded Redis, shared by the session."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def redis_url(embedded_redis: EmbeddedRedis) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(embedded_redis.url) as client:
        client.flushall()
    return embedded_redis.url


@pytest.fixture
def settings(kafka: Broker, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of one worker, with topics, port and folder that no other test has. Topics are not created yet."""
    return kafka.settings(redis_url, tmp_path / "data")
