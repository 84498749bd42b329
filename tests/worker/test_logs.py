"""With `LOANROUTER_LOG_FORMAT=json` every line of a process is one object, with the ids of what it is about."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from streams.embedded import EmbeddedKafka, free_port
from tests.conftest import Broker
from tests.processes import loanrouter, until
from tests.rotation.world import request
from tests.worker.conftest import CONFIG, until_it_said
from tests.worker.service import TRACE, Item, Service, now

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_every_line_is_an_object(embedded_kafka: EmbeddedKafka, redis_url: str, tmp_path: Path) -> None:
    """From its start to its end; lines about a decision or a record carry its ids, and none a borrower's."""
    settings = Broker(embedded_kafka.bootstrap, idempotence=False).settings(
        redis_url, tmp_path, config=CONFIG, partitions=1, log_format="json", log_level="DEBUG"
    )
    with Service(settings) as service:
        service.workers.start("only")
        until_it_said(service, "only")
        service.create_topics()
        service.workers.wait_ready("only")
        customer_id, at = "customer-of-a-test", now()
        (asked,) = service.tell(request("dd-1", at, customer_id=customer_id, expires=at), headers=TRACE)
        service.decisions("dd-1")
        (bad,) = service.publish(Item("repayments", b"{", customer_id.encode(), headers=TRACE))
        service.until(service.letters)
        (state,) = service.publish(Item("funder-states", b'{"funder_id":"\xff"}', b"cf-west"))
        until(lambda: service.workers.metric("only", "loanrouter_funder_states_refused_total"))
        service.workers.stop()
    text = (settings.data / "only" / "log").read_text()
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
        assert datetime.fromisoformat(line["time"]).utcoffset() is not None
    assert customer_id not in text
    decided = _place("drawdown-requests", asked.offset) | {"decision_id": "dd-1:1", "trace_id": TRACE_ID}
    for about in (
        decided,
        _place("repayments", bad.offset) | {"trace_id": TRACE_ID},
        _place("funder-states", state.offset),
    ):
        expected = about | {"topic": settings.topic_prefix + str(about["topic"])}
        assert any(expected.items() <= line.items() for line in lines), expected


def test_what_a_worker_ends_with_is_an_object(tmp_path: Path) -> None:
    """A configuration that is refused ends with 2, and the reason is a line like any other."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("schema: 7\n")
    own = {"LOANROUTER_DATA": str(tmp_path), "LOANROUTER_WEB": f"127.0.0.1:{free_port()}"}
    done = loanrouter("worker", LOANROUTER_CONFIG=str(broken), LOANROUTER_LOG_FORMAT="json", **own)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["level"]) == (2, "CRITICAL")
    assert "broken.yaml" in line["message"]


@pytest.mark.parametrize("command", ["worker", "console", "synthetic"])
def test_a_setting_that_is_refused_is_an_object(command: str) -> None:
    """Another one than the format: 2, and a line with its name, also for the level."""
    for name in ("LOANROUTER_PARTITIONS", "LOANROUTER_LOG_LEVEL"):
        done = loanrouter(command, **{"LOANROUTER_LOG_FORMAT": "json", name: "nonsense"})
        (line,) = map(json.loads, done.stderr.splitlines())
        assert (done.returncode, line["level"]) == (2, "CRITICAL")
        assert line["message"].startswith(f"{name} must be ")


def test_a_crash_is_an_object() -> None:
    """An error that nobody caught is one line, with where it came from."""
    crash = "begin_log({'LOANROUTER_LOG_FORMAT': 'json'}); raise ValueError('a test')"
    program = f"from cli.logs import begin_log; {crash}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["level"]) == (1, "CRITICAL")
    assert "ValueError: a test" in line["exc_info"]


def _place(topic: str, offset: int) -> dict[str, str | int]:
    return {"topic": topic, "partition": 0, "offset": offset}
