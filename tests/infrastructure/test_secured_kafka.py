"""TLS, SASL and access lists on a real Apache Kafka, with certificates made here: workers and commands."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from config.settings import Settings
from rotation.outputs import encode
from streams.batches import Record
from streams.deadletters import dead_letter
from streams.topics import APP, TOPICS, create_topics, topic_name
from tests.brokers.secured import ADMIN, PERSON, WORKER, Acl, SecuredKafka
from tests.config.changes import FIRST
from tests.conftest import Broker
from tests.console.served import Console
from tests.docs.pages import page, rows, section
from tests.processes import loanrouter, until
from tests.rotation.world import CUSTOMER, grant
from tests.worker.conftest import CONFIG, ask_somebody, until_it_said
from tests.worker.service import Service

pytestmark = pytest.mark.apache


@pytest.fixture
def settings(secured_kafka: SecuredKafka, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of one worker, with topics of its own, that connects where everybody is let in."""
    broker = Broker(secured_kafka.bootstrap, idempotence=True)
    return broker.settings(redis_url, tmp_path / "data", config=CONFIG, partitions=1)


def test_everything_over_sasl_and_tls(secured_kafka: SecuredKafka, settings: Settings) -> None:
    """Topics are created, a worker decides, and its decision is explained, all of them logged in."""
    scram = secured_kafka.sasl(settings, ADMIN)
    with Service(scram) as service:
        service.create_topics()
        service.workers.start("only")
        drawdown_id = ask_somebody(service, 0)
        decision = service.decisions(drawdown_id)[0]
    plain = secured_kafka.sasl(settings, ADMIN, "PLAIN")
    explained = loanrouter("explain", drawdown_id, "--json", **plain.environment())
    assert explained.returncode == 0, explained.stderr
    assert json.loads(explained.stdout)[0]["decision_id"] == decision.decision_id


def test_mutual_tls(secured_kafka: SecuredKafka, settings: Settings) -> None:
    """Who shows a certificate is known by its name, and may do what that one may; who shows none is refused."""
    known = secured_kafka.mutual_tls(settings)
    asyncio.run(create_topics(settings))
    asyncio.run(secured_kafka.allow([Acl(WORKER, "Topic", topic_name(settings, "rotation-config"), "Read")]))
    shown = loanrouter("config", "log", "--json", **known.environment())
    nameless = loanrouter("config", "log", **replace(known, kafka_ssl_certfile=None).environment())
    assert (shown.returncode, shown.stdout.strip()) == (0, "[]"), shown.stderr
    assert nameless.returncode == 1
    assert "do LOANROUTER_KAFKA_SECURITY_PROTOCOL and our certificate suit it?" in nameless.stderr


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kafka_sasl_password": "another-secret"}, "invalid credentials"),
    ({"kafka_sasl_mechanism": "PLAIN", "kafka_sasl_password": "another-secret"}, "Invalid username or password"),
    ({"kafka_sasl_mechanism": "SCRAM-SHA-256"}, "SASL mechanism"),
    ({"kafka_ssl_cafile": None}, "its certificate is refused"),
    ({"kafka_security_protocol": "SASL_PLAINTEXT"}, "do LOANROUTER_KAFKA_SECURITY_PROTOCOL"),
]


@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_a_command_that_is_refused(
    secured_kafka: SecuredKafka, settings: Settings, change: dict[str, Any], says: str
) -> None:
    """It ends with 1 and says why, in one line without the password."""
    done = loanrouter("topics", "create", **replace(secured_kafka.sasl(settings, PERSON), **change).environment())
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr + done.stdout


def test_a_worker_that_is_refused(secured_kafka: SecuredKafka, settings: Settings) -> None:
    """It waits, says so without the password, and ends with 0 at SIGTERM."""
    wrong = replace(secured_kafka.sasl(settings, WORKER), kafka_sasl_password="another-secret")  # noqa: S106
    with Service(settings, wrong) as service:
        service.create_topics()
        service.workers.start("only")
        until_it_said(service, "only")
        assert b"secret" not in service.workers.log("only")
        service.workers.stop()


def documented(settings: Settings, who: str, user: str) -> list[Acl]:
    """What the document says that somebody needs, on the topics of a test."""
    everything = topics_named()
    return [
        Acl(user, kind, name if kind == "Cluster" else settings.topic_prefix + name, operation)
        for row_who, kind, named, may in TABLE
        if row_who == who
        for name in (everything if "every topic" in named else names_in(named))
        for operation in may.split(", ")
    ]


def names_in(cell: str) -> list[str]:
    """The names in code."""
    return re.findall(r"`([^`]+)`", cell)


def topics_named() -> list[str]:
    """All topics that the table names."""
    return sorted({name for _, kind, named, _ in TABLE if kind == "Topic" for name in names_in(named)})


TABLE = rows(section(page("docs/operations.md"), "Access to Kafka"))


def test_the_documented_access_names_every_topic() -> None:
    """And none that there is not."""
    assert topics_named() == sorted(topic.name for topic in TOPICS)


def test_a_worker_with_the_documented_access(secured_kafka: SecuredKafka, settings: Settings) -> None:
    """It decides. Without a right it decides nothing, and with it again all that was asked.

    Without a topic's it waits, as for one that is missing; without the group's it ends with 1.
    """
    name = topic_name(settings, "routing-decisions")
    topic, group = Acl(WORKER, "Topic", name, "Write"), Acl(WORKER, "Group", topic_name(settings, APP), "Read")
    with Service(settings, secured_kafka.sasl(settings, WORKER)) as service:
        service.create_topics()
        asyncio.run(secured_kafka.allow(documented(settings, "worker", WORKER)))
        service.workers.start("only")
        assert service.decisions(ask_somebody(service, 0))
        service.workers.stop()
        for missing in (topic, group):
            asyncio.run(secured_kafka.forbid(missing))
            asked = ask_somebody(service, 0)
            service.workers.start(missing.type)
            if missing is group:
                assert until(service.workers.ended) == {missing.type: 1}
            else:
                until_it_said(service, missing.type)
            service.catch_up()
            assert service.values(asked) == []
            asyncio.run(secured_kafka.allow([missing]))
            if missing is group:
                service.workers.start(missing.type)
            assert service.decisions(asked)
            service.workers.stop()


COMMANDS = {
    "`topics create`": ["topics", "create"],
    "`config show`, `log`": ["config", "log"],
    "`config propose` and what follows": ["config", "propose", str(CONFIG), "--reason", "a test"],
    "`explain`, `replay`, `export`, `what-if`, `shadow`": ["replay", "--check"],
    "`funders list`": ["funders", "list"],
    "`funders set`": ["funders", "set", "cf-west", "paused", "--reason", "a test", "--yes"],
    "`dead-letters list`": ["dead-letters", "list"],
    "`dead-letters replay`": ["dead-letters", "replay", "--yes"],
}


async def begin(settings: Settings) -> None:
    """Publish a first revision, as the first worker does, a grant, and the dead letter of another."""
    grants = topic_name(settings, "credit-grants")
    letter = dead_letter(settings, Record(grants, 0, 7, 0, b"c-1", b"{}", ()), "schema", "a test")
    async with AIOKafkaProducer(**settings.kafka_client_args()) as producer:
        await producer.send_and_wait(topic_name(settings, "rotation-config"), FIRST, b"config")
        await producer.send_and_wait(grants, encode(grant("cf-west")), CUSTOMER.encode(), 0)
        await producer.send_and_wait(letter.topic, letter.value, letter.key, 0, headers=list(letter.headers))


def test_the_documented_access_is_that_of_the_commands() -> None:
    """Each row is tried here."""
    assert {who for who, *_ in TABLE} == {"worker", "`synthetic`", "`console`", *COMMANDS}


def test_commands_with_the_documented_access(secured_kafka: SecuredKafka, settings: Settings) -> None:
    """Nobody may do anything until it is allowed; then each command does its work."""
    nobody = secured_kafka.sasl(settings, PERSON)
    assert loanrouter("topics", "create", **nobody.environment()).returncode == 1
    for number, (who, words) in enumerate(COMMANDS.items()):
        own = replace(settings, topic_prefix=f"{settings.topic_prefix}{number}.")
        if who != "`topics create`":
            asyncio.run(create_topics(own))
            asyncio.run(begin(own))
        asyncio.run(secured_kafka.allow(documented(own, who, PERSON)))
        done = loanrouter(*words, **secured_kafka.sasl(own, PERSON).environment())
        assert done.returncode == 0, (who, done.stderr)


def test_a_console_with_the_documented_access(secured_kafka: SecuredKafka, settings: Settings) -> None:
    """Its pages show what was published, and a switch is written to the log."""
    asyncio.run(create_topics(settings))
    asyncio.run(begin(settings))
    asyncio.run(secured_kafka.allow(documented(settings, "`console`", PERSON)))
    with Console(secured_kafka.sasl(settings, PERSON)) as console:
        console.invite("otto", "operator")
        operator = console.seated("otto")
        until(lambda: "cf-west" in operator.get(f"/borrowers?id={CUSTOMER}").text)
        assert operator.send("/funders/cf-west/pause", {"reason": "a test"}).status == 303
        assert "a test" in operator.get("/funders/cf-west").text
