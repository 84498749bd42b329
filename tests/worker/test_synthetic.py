"""The synthetic borrower measures from outside how long decisions take, and is a burden to nobody."""

import os
import signal
from dataclasses import replace

import msgspec

from rotation.outputs import Decision
from streams.embedded import LOOPBACK, free_port
from streams.synthetic import RESERVED
from tests.ops.promtool import promtool
from tests.processes import COMMAND, Workers, until
from tests.worker.conftest import PAIR
from tests.worker.service import Service

WAITING = "loanrouter_synthetic_waiting_seconds"


def test_it_measures_until_the_decision(pair: Service) -> None:
    """On all partitions, while workers work; when they freeze, what it waits for grows, and ends when they go on.

    One drawdown a partition, rejected because it had expired, and repeated; SIGTERM ends it with 0.
    """
    with Workers(pair.settings, (COMMAND, "synthetic", "--every", "0.1")) as watching:
        watching.start("synthetic")
        answered = 3 * pair.settings.partitions
        until(lambda: watching.metric("synthetic", "loanrouter_synthetic_delay_seconds_count") >= answered, 60)
        pids = [pair.workers.pid(name) for name in PAIR]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: watching.metric("synthetic", WAITING) > 1)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        until(lambda: watching.metric("synthetic", WAITING) < 1)
        assert watching.metric("synthetic", "loanrouter_synthetic_lost_total") == 0
        checked = promtool("check", "metrics", text=watching.page("synthetic", "/metrics").text)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        watching.stop()
    pair.settle_all()
    values = [r.value or b"" for r in pair.said("routing-decisions") if (r.key or b"").startswith(RESERVED.encode())]
    decided = [msgspec.json.decode(value, type=Decision) for value in set(values)]
    assert len(values) >= answered
    assert len(decided) == pair.settings.partitions
    assert {(one.status, *one.reasons) for one in decided} == {("rejected", "request_expired")}


def test_it_waits_for_kafka(pair: Service) -> None:
    """Who cannot ask waits too: nobody at Kafka's address looks like workers that do not answer."""
    nowhere = replace(pair.settings, kafka=f"{LOOPBACK}:{free_port()}")
    with Workers(nowhere, (COMMAND, "synthetic")) as watching:
        watching.start("alone")
        until(lambda: watching.metric("alone", WAITING) > 1)
        watching.stop()
