"""The console as an operator runs it: on this machine alone, started and ended at will, patient with its servers."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from config.settings import Settings
from streams.embedded import EmbeddedKafka, EmbeddedRedis, free_port
from tests.brokers import ComingAndGoing
from tests.conftest import Broker
from tests.console.served import PASSWORD, Console
from tests.processes import listening_addresses, loanrouter, until


@pytest.fixture
def redis() -> Iterator[ComingAndGoing]:
    """A Redis that may go and come."""
    with ComingAndGoing() as server:
        server.come()
        yield server


@pytest.fixture
def ground(embedded_kafka: EmbeddedKafka, redis: ComingAndGoing, tmp_path: Path) -> Settings:
    """Settings with a Redis of their own; topics are not created yet."""
    return Broker(embedded_kafka.bootstrap, idempotence=False).settings(redis.url, tmp_path / "data")


def create(settings: Settings) -> None:
    """Create the topics."""
    assert loanrouter("topics", "create", **settings.environment()).returncode == 0


def test_it_ends_and_begins_again(ground: Settings) -> None:
    """With 0 on SIGTERM; users and sessions are as they were, and there is no second password."""
    create(ground)
    with Console(ground) as console:
        assert listening_addresses(console.pid) == {"0100007F"}
        visitor = console.visitor("admin")
        assert console.stop() == 0
        console.start()
        assert visitor.get("/people").status == 200
        assert console.visitor("admin").get("/").status == 200
        assert len(console.one_time()) == 1
        assert "No worker has started yet" in visitor.get("/").text


def test_a_redis_that_is_away_is_told(ground: Settings, redis: ComingAndGoing) -> None:
    """With 503; when it is back, so are the pages. It came back empty: nobody is known any more."""
    create(ground)
    with Console(ground) as console:
        visitor = console.visitor("admin")
        with redis.away():
            answer = visitor.get("/")
            assert (answer.status, "Redis does not answer" in answer.text) == (503, True)
        until(lambda: visitor.get("/").status == 303)
        assert visitor.log_in("admin", PASSWORD).status == 403


def test_a_kafka_that_is_away_is_told(redis: ComingAndGoing, tmp_path: Path) -> None:
    """Pages are still there; a change is not made, and its page says why. It ends as ever."""
    with ExitStack() as running:
        kafka = running.enter_context(EmbeddedKafka())
        settings = Broker(kafka.bootstrap, idempotence=False).settings(redis.url, tmp_path / "data")
        create(settings)
        with Console(settings) as console:
            console.invite("otto", "operator")
            otto = console.visitor("otto")
            running.close()
            answer = otto.send("/configuration/rotation/off", {"reason": "a test"})
            assert (answer.status, "Kafka does not answer" in answer.text) == (409, True)
            assert otto.get("/").status == 200
            assert console.stop() == 0


def test_with_a_redis_of_its_own_it_leaves_the_workers_one_alone(ground: Settings) -> None:
    """Users and all else are in the one that it was given."""
    create(ground)
    with EmbeddedRedis() as own, Console(replace(ground, console_redis=own.url)) as console:
        console.visitor("admin")
        with Redis.from_url(ground.redis) as workers, Redis.from_url(own.url) as consoles:
            assert workers.keys("*console*") == []
            assert len(consoles.keys("*console:users")) == 1


def test_without_topics_it_does_not_start(ground: Settings) -> None:
    """It ends with 1 and says what to do."""
    done = loanrouter("console", **{**ground.environment(), "LOANROUTER_CONSOLE": f"127.0.0.1:{free_port()}"})

    assert (done.returncode, done.stdout) == (1, "")
    assert "create the topics first: loanrouter topics create" in done.stderr


def test_without_redis_it_does_not_start(ground: Settings) -> None:
    """It ends with 1 and says so."""
    create(ground)
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    done = loanrouter("console", **{**ground.environment(), "LOANROUTER_REDIS": nowhere})

    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(r"Error: Redis: ", done.stderr.splitlines()[-1])


def test_an_address_that_is_taken_is_wrong_use(ground: Settings) -> None:
    """It ends with 2 and names the setting."""
    create(ground)
    with Console(ground) as console:
        done = loanrouter("console", **console.settings.environment())

    assert done.returncode == 2
    assert "LOANROUTER_CONSOLE: cannot listen on" in done.stderr
