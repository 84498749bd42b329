"""A real Prometheus that scrapes workers has what the dashboards ask for, and fires within a minute of a fault."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.clock import rfc3339
from rotation.outputs import FunderState
from tests.brokers import ON_APACHE
from tests.ops.files import shown
from tests.ops.prometheus import Prometheus
from tests.processes import until
from tests.rotation.world import grant, outcome, request
from tests.worker.conftest import PAIR, Start, ask_somebody
from tests.worker.service import Service, item_of, now

#: What only shows after a fault, a capture or a change: these panels may be empty.
QUIET = (
    "loanrouter_producer_errors_total",
    "loanrouter_late_disbursements_total",
    "loanrouter_capture_alerts_total",
    "loanrouter_capture_signals_total",
    "changes(loanrouter_config_revision",
)

pytestmark = ON_APACHE


@pytest.fixture
def prometheus(pair: Service, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes both workers."""
    with Prometheus(tmp_path, [pair.workers.port(name) for name in PAIR]) as server:
        until(lambda: len(server.ask('up{job="loanrouter"} == 1')) == len(PAIR))
        yield server


def test_every_panel_has_something_to_show(pair: Service, prometheus: Prometheus) -> None:
    """Each expression of the dashboards gives a series, but for those that tell of faults, captures and changes.

    No alert fires meanwhile, but for a funder that stands on the ladder, and for what was late before.
    """
    missing = [each for each in shown() if not any(quiet in each for quiet in QUIET)]
    assert len(missing) > 2 * len(QUIET)
    pair.set_state(FunderState("trust-south", {"A": 0.5}, "watch", 1.0, rfc3339(now()), "a test", 1))

    def all_have_shown() -> bool:
        nonlocal missing
        work(pair)
        missing = [each for each in missing if not prometheus.ask(each)]
        return not missing

    try:
        until(all_have_shown, 60)
    except AssertionError:
        raise AssertionError(f"nothing to show: {missing}") from None
    firing = {alert for alert in prometheus.firing() if "DecisionsLate" not in alert}  # Redis was away at the start
    assert firing <= {"LoanrouterFunderSuspected"}
    pair.set_state(FunderState("trust-south", {}, "normal", 1.0, rfc3339(now()), "a test", 2))


def test_faults_are_seen_within_a_minute(start: Start, pair: Service, prometheus: Prometheus) -> None:
    """Redis goes while drawdowns wait, then a worker is killed: each alert fires, and ends when all is well again."""
    with start.redis.away():
        asked = ask_somebody(pair, 0)
        until(lambda: "LoanrouterRedisAway" in prometheus.firing(), 60)
    pair.decisions(asked)
    port = pair.workers.port("two")
    pair.workers.signal("two", signal.SIGKILL)
    until(lambda: "LoanrouterWorkerDown" in prometheus.firing(), 60)
    pair.workers.start("two", port)
    pair.workers.wait_ready(*PAIR)
    until(lambda: not prometheus.firing() & {"LoanrouterRedisAway", "LoanrouterWorkerDown"}, 90)


def work(service: Service) -> None:
    """A bit of everything: drawdowns routed, with rules given up, answered in both ways, repeated; odd records."""
    customer_id, at = service.customer(), now()
    service.tell(grant("cf-west", at, customer_id=customer_id))
    for status in ("disbursed", "cancelled"):
        event = request(f"dd-{service.number()}", at, customer_id=customer_id, exclude_funders=["nobody"])
        item = item_of(event)
        service.publish(item._replace(value=(item.value or b"")[:-1] + b',"channel":"app"}'), item)
        assert service.decisions(event.drawdown_id)[0].funder_id == "cf-west"
        service.tell(outcome(event.drawdown_id, "cf-west", status, at, customer_id=customer_id))
    service.settle(customer_id)
