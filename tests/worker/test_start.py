"""A worker waits for what it needs and says so; what can never be right it refuses at once, by name."""

import json
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

from click.testing import CliRunner

from cli.main import main
from config.settings import Settings
from streams.embedded import LOOPBACK, EmbeddedKafka, EmbeddedRedis, free_port
from tests.brokers import ON_APACHE
from tests.conftest import Broker
from tests.processes import loanrouter
from tests.worker.conftest import CONFIG, Start, ask_somebody, until_it_said
from tests.worker.service import Service


def test_without_topics(start: Start) -> None:
    """Workers that find no topics live, are not ready, and start when the topics are created."""
    assert [page.status == 200 for page in start.without_topics] == [False, False]
    start.service.workers.wait_ready("one", "two")


def test_without_redis(start: Start) -> None:
    """While Redis is away `/readyz` is 503 and says so, and nothing is decided; all is decided when it comes."""
    for status, text in start.without_redis:
        answer = json.loads(text)
        assert (status, answer["ready"]) == (503, False)
        assert {reason.partition(":")[0] for reason in answer["reasons"]} - {"lag"} == {"reservations"}
    assert start.decided_too_early == 0
    for drawdown_id in start.asked:
        assert [decision.status for decision in start.service.decisions(drawdown_id)] == ["routed"]


def test_without_kafka(embedded_redis: EmbeddedRedis, tmp_path: Path) -> None:
    """Workers that find nobody at Kafka's address wait, and start when the broker comes there.

    At SIGTERM they end with 0, whether they wait or the broker has gone again.
    """
    with ExitStack() as ends, socket.create_server((LOOPBACK, 0)) as nobody:
        port = nobody.getsockname()[1]
        settings = Settings(
            kafka=f"{LOOPBACK}:{port}",
            kafka_idempotence=False,
            redis=embedded_redis.url,
            config=CONFIG,
            topic_prefix="late.",
            partitions=1,
            data=tmp_path,
            session_timeout_seconds=4,
        )
        service = ends.enter_context(Service(settings))
        for name in ("impatient", "patient"):
            service.workers.start(name)
            nobody.accept()[0].close()
        nobody.close()
        for name in ("impatient", "patient"):
            until_it_said(service, name)
            assert service.workers.page(name, "/readyz").status != 200
        service.workers.signal("impatient", signal.SIGTERM)
        with EmbeddedKafka(port):
            service.create_topics()
            service.workers.wait_ready("patient")
            assert service.decisions(ask_somebody(service, 0))[0].status == "routed"
            service.disconnect()
        service.workers.signal("patient", signal.SIGTERM)


def test_refused_configuration(tmp_path: Path) -> None:
    """A broken configuration ends with 2; each problem names file, line, key and reason."""
    broken = tmp_path / "broken.yaml"
    broken.write_text(CONFIG.read_text().replace("    weight: 3\n", "    weight: 0\n    wieght: 1\n"))
    (line,) = (n for n, text in enumerate(broken.read_text().splitlines(), 1) if "weight: 0" in text)
    done = loanrouter("worker", LOANROUTER_CONFIG=str(broken))
    assert done.returncode == 2
    assert f"{broken}:{line}: funders[0].weight: must be a number above 0 and at most 1000000, but is 0" in done.stderr
    assert f"{broken}:{line + 1}: funders[0].wieght: " in done.stderr
    assert "Traceback" not in done.stderr


def test_refused_surroundings(tmp_path: Path) -> None:
    """A web address that is taken, or a folder that cannot be made, ends with 2; the error names the variable."""
    (tmp_path / "file").touch()
    with socket.create_server((LOOPBACK, 0)) as taken:
        for variable, value in (
            ("LOANROUTER_WEB", f"{LOOPBACK}:{taken.getsockname()[1]}"),
            ("LOANROUTER_DATA", str(tmp_path / "file" / "data")),
        ):
            free = {"LOANROUTER_DATA": str(tmp_path), "LOANROUTER_WEB": f"{LOOPBACK}:{free_port()}"}
            result = CliRunner().invoke(main, ["worker"], env=free | {variable: value})
            assert (result.exit_code, variable in result.stderr) == (2, True)


def test_refused_broker(embedded_kafka: EmbeddedKafka, redis_url: str, tmp_path: Path) -> None:
    """A broker without idempotent producers, of which the worker was not told, ends with 2; the error names both."""
    settings = Broker(embedded_kafka.bootstrap, idempotence=True).settings(redis_url, tmp_path / "data", config=CONFIG)
    env = settings.environment()
    assert loanrouter("topics", "create", **env).returncode == 0

    done = loanrouter("worker", **env)

    assert done.returncode == 2
    assert "LOANROUTER_KAFKA_IDEMPOTENCE must be off" in done.stderr
    assert f"Kafka at {embedded_kafka.bootstrap} has no idempotent producers" in done.stderr
    assert "Traceback" not in done.stderr


@ON_APACHE
def test_refused_topics(settings: Settings) -> None:
    """On the stream clock, topics made for the wall clock end with 2; the error names topic and setting.

    So does a missing configuration file, once it is needed.
    """
    wall = settings.environment()
    assert loanrouter("topics", "create", **wall).returncode == 0
    again = json.loads(loanrouter("topics", "create", "--json", **wall).stdout)
    stream = loanrouter("worker", **wall | {"LOANROUTER_CLOCK": "stream"})
    without = loanrouter("worker", **wall | {"LOANROUTER_CONFIG": "/no/such/file.yaml"})
    assert {entry["result"] for entry in again} == {"exists"}
    assert (stream.returncode, without.returncode) == (2, 2)
    for topic in ("credit-grants", "routing-decisions"):
        for setting in ("retention.ms", "message.timestamp.after.max.ms"):
            assert f"{settings.topic_prefix}{topic} has {setting}" in stream.stderr
    assert "/no/such/file.yaml" in without.stderr
    assert "Traceback" not in stream.stderr + without.stderr
