"""A benchmark measures engines that decide the same, and gives no figure when they do not."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import job
from bench.compare import Comparison, Differs, compare
from bench.ground import Servers, topics
from bench.rule import comparison as rule
from bench.run import Measured
from streams.embedded import EmbeddedRedis
from tests.brokers import ApacheKafka

pytestmark = [pytest.mark.apache, pytest.mark.timeout(300)]


@pytest.fixture
def servers(apache_kafka: ApacheKafka, embedded_redis: EmbeddedRedis, tmp_path: Path) -> Servers:
    """The session's servers, as a benchmark uses them."""
    pids = {"kafka": apache_kafka.pid, "redis": embedded_redis.pid}
    return Servers(apache_kafka.bootstrap, embedded_redis.url, pids, tmp_path)


def _run(servers: Servers, comparison: Comparison) -> list[Measured]:
    async def work() -> list[Measured]:
        async with topics(servers.kafka) as clients:
            return await compare(servers, clients, comparison, 1)

    return asyncio.run(work())


def test_job_is_decided_alike_by_all_engines(servers: Servers) -> None:
    """The full job: plain Faust and our worker make the same decisions, each as many as were asked."""
    measured = _run(servers, job.comparison(servers.folder, 300)._replace(engines=[job.OURS, job.PLAIN]))
    assert [result.engine for result in measured] == ["loanrouter", "plain-faust"]
    assert [result.decisions for result in measured] == [300, 60]
    assert all(result.cpu_seconds > 0 and result.seconds > 0 for result in measured)


def test_rule_is_decided_alike_by_all_engines(servers: Servers) -> None:
    """The keyed rule: our stream, a plain loop, Kafka Streams and Faust make the same decisions, and keep their state.

    Confluent's loop and Quix Streams are installed by `./dev bench` only, which compares them in the same way.
    """
    comparison = rule.comparison(servers.folder, 1000)
    here = [e for e in comparison.engines if e.name not in ("confluent-loop", "quix-streams", "faust-tuned")]
    measured = _run(servers, comparison._replace(engines=here))
    assert [result.engine for result in measured] == [engine.name for engine in here]
    assert [result.decisions for result in measured] == [1000, 1000, 1000, 200, 200]


def test_engines_that_decide_differently_get_no_figure(servers: Servers) -> None:
    """Another seed of the choice in one engine's configuration is told, with the decision."""
    comparison = job.comparison(servers.folder, 100)
    document = json.loads(comparison.config.read_text())
    document["selection"]["seed"] = "another"
    other = servers.folder / "other.yaml"
    other.write_text(json.dumps(document))
    ours = comparison.engines[0]
    differing = replace(ours, name="differing", env={"LOANROUTER_CONFIG": str(other)})
    with pytest.raises(Differs, match="dd-"):
        _run(servers, comparison._replace(engines=[ours, differing]))
