"""Law: on a real worker, through Kafka, the study's market comes to the same decisions as the core in this process."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cli.local import ProcessDied
from config.settings import Settings
from market.study.population import person
from market.study.scenario import load_scenario, study_configuration
from market.study.served import PARTITIONS, ServedRouter
from streams.topics import create_topics
from tests.processes import loanrouter
from tests.rotation.world import T0, grant

GREEDY = """
schema: 1
name: greedy
summary: four funders capture whom they can, from the first day
population: {gap_days: [10, 15], present: 1.0}
hazard: {exposure_hazard: 0.9, depth_hazard: 0.0, grant_hazard: 0.0}
funders:
  bank-b: {behaviour: immediate, from_day: 0}
  bank-d: {behaviour: offline, from_day: 0}
  cf-a: {behaviour: immediate, from_day: 0}
  trust-a: {behaviour: immediate, from_day: 0}
"""


def driven(settings: Settings, scenario: str, borrowers: int, days: int) -> dict[str, Any]:
    """What `market drive` says of a market on this broker."""
    size = ("--borrowers", str(borrowers), "--days", str(days), "--json")
    servers = ("--kafka", settings.kafka, "--redis", settings.redis)
    done = loanrouter("market", "drive", scenario, *size, *servers, **settings.environment())
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_market_of_captors_on_a_real_worker(settings: Settings, tmp_path: Path) -> None:
    """Every decision is the same when it is made again from the record; rules hold, and captors find somebody."""
    greedy = tmp_path / "greedy.yaml"
    greedy.write_text(GREEDY)
    told = driven(settings, str(greedy), 16, 16)
    run = told["measures"]
    assert told["differing"] == []
    assert told["decisions"] >= run["drawdowns"] > 16
    assert (run["overruns"], run["violations"], run["refusals"]) == (0, {}, 0)
    assert run["captured"] > 0
    assert run["disbursed"] > 8


def test_the_same_borrowers_come_as_in_this_process(settings: Settings) -> None:
    """Where nobody captures, as many drawdowns are asked for, whoever decides."""
    told = driven(settings, "all_honest", 16, 12)
    assert told["measures"]["drawdowns"] == told["in_process"]["drawdowns"] > 0


def test_a_dead_worker_ends_the_run(settings: Settings) -> None:
    """Nobody works on the topics: what the check raises comes out, instead of a wait."""
    alone = replace(settings, partitions=PARTITIONS, clock="stream")
    asyncio.run(create_topics(alone))
    someone = person(0, Random(1), load_scenario("mixed", study_configuration()).population, 20)

    def check() -> None:
        raise ProcessDied("worker died")

    with ServedRouter(alone, check) as router, pytest.raises(ProcessDied):
        router.tell(someone, grant("bank-a", customer_id=someone.customer_id), T0)
