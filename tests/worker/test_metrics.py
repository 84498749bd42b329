"""`/metrics` tells what a worker did and how it stands, in a form that Prometheus accepts; no borrower is in it."""

import re
import signal
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rotation.clock import rfc3339
from rotation.outputs import FunderState, SilentDetector
from streams import synthetic
from streams.embedded import LOOPBACK
from tests.ops.files import FOREIGN, metrics_in, rules, shown
from tests.ops.promtool import promtool
from tests.processes import until
from tests.rotation.world import grant, outcome, request
from tests.worker.conftest import PAIR, Start, ask_somebody
from tests.worker.service import TRACE, Service, funder, now

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
AMOUNT = 600_000


def test_prometheus_accepts_it(stream: Service) -> None:
    """`promtool check metrics` finds no fault with a page on which every kind of event was counted."""
    route(stream)
    done = promtool("check", "metrics", text=stream.workers.page("only", "/metrics").text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_does_find_faults() -> None:
    """The check above can fail."""
    done = promtool("check", "metrics", text="# TYPE loanrouter_things counter\nloanrouter_things 1\n")
    assert done.returncode != 0


def test_rules_and_dashboards_ask_for_what_is_there(stream: Service) -> None:
    """Each metric that a rule or a panel names, of ours or of the client library, is on a running worker's page."""
    exported = names(stream.workers.page("only", "/metrics").text)
    exported |= names(generate_latest(synthetic.REGISTRY).decode())  # of a process that test_synthetic.py runs
    for expression in (*(rule["expr"] for kind in ("record", "alert") for rule in rules(kind).values()), *shown()):
        assert {name for name in metrics_in(expression) if ":" not in name} <= exported, expression
    assert FOREIGN - {"up"} <= exported


def test_flow_to_a_funder(stream: Service) -> None:
    """A routed drawdown is counted with its money, its reason, and those excluded by rule; then its outcome."""
    samples = (
        'loanrouter_decisions_total{status="routed",reason="only_candidate"}',
        'loanrouter_routed_total{funder="cf-west"}',
        'loanrouter_routed_fen_total{funder="cf-west"}',
        'loanrouter_outcomes_total{funder="cf-west",status="disbursed"}',
        'loanrouter_exclusions_total{rule="excluded_by_request"}',
    )
    stream.settle_all()
    before = [stream.workers.metric("only", sample) for sample in samples]
    route(stream)
    after = [stream.workers.metric("only", sample) for sample in samples]
    assert [later - earlier for earlier, later in zip(before, after, strict=True)] == [1, 1, AMOUNT, 1, 1]


def test_money_is_counted_once(stream: Service) -> None:
    """Borrowers of one batch with one funder, or with several to choose from: the sums are those of the decisions."""
    samples = ("loanrouter_routed_total", "loanrouter_routed_fen_total")
    at, borrowers = stream.day(), [stream.customer(0) for _ in range(8)]
    for number, customer_id in enumerate(borrowers):
        funders = ("cf-west", "cf-north") if number % 2 else ("cf-west",)
        stream.tell(*(grant(funder_id, at, customer_id=customer_id) for funder_id in funders))
    stream.settle_all()
    before = [stream.workers.metric("only", sample) for sample in samples]
    stream.tell(*(request(f"dd-{each}", at, amount=AMOUNT, customer_id=each) for each in borrowers))
    stream.settle(*borrowers)
    after = [stream.workers.metric("only", sample) for sample in samples]
    assert [later - earlier for earlier, later in zip(before, after, strict=True)] == [8, 8 * AMOUNT]


def test_relaxations_are_counted_by_rule(stream: Service) -> None:
    """The second drawdown of a borrower with one funder only goes there with rules given up, each counted once."""
    sample = 'loanrouter_relaxations_total{rule="never_last"}'
    stream.settle_all()
    before = stream.workers.metric("only", sample)
    customer_id = route(stream)
    again = f"dd-{stream.number()}"
    stream.tell(request(again, stream.day(), amount=AMOUNT, customer_id=customer_id))
    assert "never_last" in stream.decisions(again)[0].relaxed
    stream.settle(customer_id)
    assert stream.workers.metric("only", sample) == before + 1


def test_batches_by_stage(stream: Service) -> None:
    """Each stage of a batch of records is timed, and a batch has all of them."""
    route(stream)
    counted = {
        stage: stream.workers.metric("only", f'loanrouter_batch_seconds_count{{agent="route",stage="{stage}"}}')
        for stage in ("decode", "core", "reserve", "write", "commit")
    }
    assert all(counted.values())
    assert counted["decode"] == counted["core"] == counted["reserve"] == records_batches(stream)


def test_the_ladder_and_the_pass_rates(stream: Service) -> None:
    """Where a funder stands and what its rates are follow `funder-states`; what the ladder takes, its weight loses.

    Of a funder of which nothing was heard: of others their agent says something too, when it is time.
    """

    def add(document: dict[str, Any]) -> None:
        document["funders"].append(funder(document, "trust-south") | {"id": "unheard"})

    with stream.configured(add):
        share = 'loanrouter_funder_weight_share{funder="unheard"}'
        before = stream.workers.metric("only", share)
        silent = [SilentDetector("pass_rate", "grade A", 41, 200)]
        state = FunderState("unheard", {"A": 0.5}, "throttled", 0.5, rfc3339(0), "a test", 1, silent=silent)
        stream.set_state(state)
        stream.wait_guided()
        shown = stream.workers.samples("only", 'loanrouter_funder_state{funder="unheard"}')
        assert [name for name, value in shown.items() if value] == [
            'loanrouter_funder_state{funder="unheard",state="throttled"}'
        ]
        assert stream.workers.metric("only", 'loanrouter_funder_traffic_multiplier{funder="unheard"}') == 0.5
        assert stream.workers.metric("only", 'loanrouter_funder_pass_rate{funder="unheard",grade="A"}') == 0.5
        lacking = 'loanrouter_detector_missing_events{detector="pass_rate",funder="unheard",segment="grade A"}'
        assert stream.workers.metric("only", lacking) == 159
        assert stream.workers.metric("only", share) < before
        stream.set_state(FunderState("unheard", {}, "normal", 1.0, rfc3339(0), "a test", 2))
        stream.wait_guided()
        assert stream.workers.metric("only", share) == before


def test_quotas(pair: Service) -> None:
    """Both workers show what all of them together have taken of a funder's quota today, and the quota."""
    used, limit = 'loanrouter_quota_used_fen{funder="cf-west"}', 'loanrouter_quota_limit_fen{funder="cf-west"}'
    customer_id, at = pair.customer(), now()
    until(lambda: all(pair.workers.samples(name, used) for name in PAIR))
    before = max(pair.workers.metric(name, used) for name in PAIR)
    pair.tell(grant("cf-west", at, customer_id=customer_id))
    drawdown_id = f"dd-{pair.number()}"
    pair.tell(request(drawdown_id, at, amount=AMOUNT, customer_id=customer_id))
    assert pair.decisions(drawdown_id)[0].funder_id == "cf-west"
    for name in PAIR:
        until(lambda name=name: pair.workers.metric(name, used) >= before + AMOUNT)  # type: ignore[misc]
        assert pair.workers.metric(name, limit) == 10**12


def test_delays_and_their_traces(pair: Service) -> None:
    """A decision is counted with the time since its request; OpenMetrics names its trace."""
    count, customer_id = "loanrouter_decision_delay_seconds_count", pair.customer(0)
    before = sum(pair.workers.metric(name, count) for name in PAIR)
    drawdown_id = f"dd-{pair.number()}"
    pair.tell(request(drawdown_id, now(), customer_id=customer_id), headers=TRACE)
    pair.decisions(drawdown_id)
    until(lambda: sum(pair.workers.metric(name, count) for name in PAIR) == before + 1)
    assert TRACE_ID in {trace for name in PAIR for trace in exemplars(pair, name)}
    assert not any(customer_id in pair.workers.page(name, "/metrics").text for name in PAIR)


def test_lag_while_redis_is_away(start: Start, pair: Service) -> None:
    """Records that cannot be decided show as lag, in number and in a wait that grows, until the worker is not ready."""
    with start.redis.away():
        asked = ask_somebody(pair, 0)
        until(lambda: total(pair, "loanrouter_lag_records") >= 1)
        first = longest(pair)
        until(lambda: longest(pair) > first + 2)
        until(lambda: any(reason.startswith("lag: ") for name in PAIR for reason in pair.workers.reasons(name)))
        until(lambda: not any(pair.workers.samples(name, "loanrouter_quota_used_fen") for name in PAIR))
    pair.decisions(asked)
    until(lambda: total(pair, "loanrouter_lag_records") == 0)
    assert longest(pair) == 0
    pair.workers.wait_ready(*PAIR)


def test_partitions_that_went_to_another_worker_are_gone(pair: Service) -> None:
    """One worker alone shows every partition; when a second one comes, each is shown by its owner only."""
    everything = {(topic, partition) for name in PAIR for topic, partition in held(pair, name)}
    pair.workers.signal("two", signal.SIGTERM)
    until(lambda: held(pair, "one") == everything, 60)
    rebalances = pair.workers.metric("one", "loanrouter_rebalances_total")
    pair.workers.start("two")
    pair.workers.wait_ready(*PAIR)
    until(lambda: held(pair, "one") | held(pair, "two") == everything, 60)
    assert not held(pair, "one") & held(pair, "two")
    assert held(pair, "one")
    assert held(pair, "two")
    assert pair.workers.metric("one", "loanrouter_rebalances_total") > rebalances


def test_phase_and_revision(pair: Service) -> None:
    """A worker at work is running, has nothing left to recover, and tells since when its revision is active."""
    pair.configure(lambda document: None)
    pair.wait_guided()
    for name in PAIR:
        phases = pair.workers.samples(name, "loanrouter_phase")
        assert [sample for sample, value in phases.items() if value] == ['loanrouter_phase{phase="running"}']
        assert set(pair.workers.samples(name, "loanrouter_recovery_remaining_records").values()) == {0}
        since = pair.workers.metric(name, "loanrouter_config_revision_timestamp_seconds")
        assert abs(now() / 1000 - since) < 60


def route(service: Service) -> str:
    """Have a new borrower's drawdown routed to the one funder that approved, and disbursed; gives the borrower."""
    at, customer_id, drawdown_id = service.day(), service.customer(), f"dd-{service.number()}"
    service.tell(grant("cf-west", at, customer_id=customer_id))
    service.settle(customer_id)
    asked = request(drawdown_id, at, amount=AMOUNT, customer_id=customer_id, exclude_funders=["trust-south"])
    service.tell(asked)
    assert service.decisions(drawdown_id)[0].funder_id == "cf-west"
    service.tell(outcome(drawdown_id, "cf-west", "disbursed", at, amount=AMOUNT, customer_id=customer_id))
    service.settle(customer_id)
    return customer_id


def names(page: str) -> set[str]:
    """The names that a page's samples have, or will have once something is counted."""
    found = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE):
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found


def records_batches(service: Service) -> float:
    """How many batches had records."""
    return service.workers.metric("only", "loanrouter_batch_records_count")


def exemplars(service: Service, name: str) -> list[str]:
    """The traces that a worker's delays name."""
    connection = HTTPConnection(LOOPBACK, service.workers.port(name), timeout=5)
    with closing(connection):
        connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        answer = connection.getresponse()
        assert (answer.getheader("Content-Type") or "").startswith("application/openmetrics-text")
        families = text_string_to_metric_families(answer.read().decode())  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    return [sample.exemplar.labels["trace_id"] for sample in samples if sample.exemplar is not None]


def total(service: Service, metric: str) -> float:
    """A metric of both workers."""
    return sum(service.workers.metric(name, metric) for name in PAIR)


def longest(service: Service) -> float:
    """The longest wait that either worker shows."""
    return max(value for name in PAIR for value in service.workers.samples(name, "loanrouter_lag_seconds").values())


def held(service: Service, name: str) -> set[tuple[str, str]]:
    """The inputs and partitions whose lag a worker shows, as they are written."""
    return {tuple(sample.split('"')[1::2]) for sample in service.workers.samples(name, "loanrouter_lag_records")}  # type: ignore[misc]
