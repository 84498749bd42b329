"""Direct evidence against a funder comes out as alerts, and takes traffic from it until a person decides otherwise."""

from typing import Any

import msgspec

from market.publication import moment
from rotation.clock import DAY, HOUR, rfc3339
from rotation.events import CaptureSignal
from rotation.outputs import CaptureAlert, FunderState, encode
from tests.processes import loanrouter
from tests.rotation.world import grant, outcome, request
from tests.worker.service import TRACE, Headers, Item, Service

ACCUSED = "cf-west"
STAFF = 4
SIGNALS = f'loanrouter_capture_signals_total{{funder="{ACCUSED}"}}'


def test_a_funder_that_calls_canaries_is_throttled(stream: Service) -> None:
    """Four members of staff drew money there. Two are called: it is throttled. So are the others: a person must decide.

    The person sets the funder free, and it stays free. A call that is told again counts once. What the calls cause
    carries their trace.
    """
    at = max(stream.day() for _ in range(7))  # other tests may have let some days pass
    staff = [stream.customer() for _ in range(STAFF)]
    for customer_id in staff:
        stream.tell(grant(ACCUSED, at, customer_id=customer_id))
    stream.settle(*staff)
    for customer_id in staff:
        stream.tell(request(f"dd-{customer_id}", at + 1, customer_id=customer_id, canary=True))
    for customer_id in staff:
        (decision,) = stream.decisions(f"dd-{customer_id}")
        assert decision.funder_id == ACCUSED
        stream.tell(outcome(f"dd-{customer_id}", ACCUSED, "disbursed", at + 2, customer_id=customer_id))
    stream.settle(*staff)
    before = stream.workers.metric("only", SIGNALS)
    calls = [call(customer_id, at + hours * HOUR, TRACE) for hours, customer_id in enumerate(staff, 1)]
    stream.publish(*calls[:2], *calls[:1])
    stream.until(lambda: [state for state in standings(stream)[-1:] if state.state == "throttled"])
    stream.publish(*calls[2:])
    alert = stream.until(lambda: full_alert(stream))
    of_accused = [said for said in stream.said("funder-states") if said.key == ACCUSED.encode()]
    throttled, *_ = [said for said in of_accused if b'"throttled"' in (said.value or b"")]
    (told,) = [said for said in stream.said("capture-alerts") if alert.alert_id.encode() in (said.value or b"")]
    assert (throttled.headers, told.headers) == (TRACE, TRACE)
    assert stream.workers.metric("only", SIGNALS) == before + STAFF
    assert (alert.funder_id, alert.detector, alert.segment) == (ACCUSED, "canary", "canaries")
    assert (alert.level, alert.state_after) == ("paused", "throttled"), "a pause needs a person here"
    assert alert.evidence.events == STAFF
    assert alert.evidence.statistic <= alert.evidence.threshold
    standing = standings(stream)[-1]
    assert standing.state == "throttled"
    lacking = {each.segment for each in standing.silent if each.detector == "non_return"}
    assert "grade A after settling early" in lacking, "what has too few events says so"
    assert "canary" not in {each.detector for each in standing.silent}

    freed = FunderState(ACCUSED, {}, "normal", 1.0, rfc3339(at + DAY), "looked into", 1)
    word = stream.set_state(freed)
    stream.wait_guided()
    stream.publish(call(stream.customer(), stream.day()))
    (later,) = stream.until(lambda: standings(stream, after=word))
    assert (later.state, later.traffic_multiplier, later.cause) == ("normal", 1.0, "looked into")


def test_a_quota_that_is_used_at_once_is_dear(stream: Service) -> None:
    """Where quotas are paced, the funder's state says so, the others get more of what comes, and replay agrees."""
    both = ("trust-south", "bank-east")
    stream.configure(_paced)
    stream.wait_guided()
    at, first, later = stream.day(), stream.customer(), stream.customer()
    for customer_id in (first, later):
        stream.tell(*(grant(funder_id, at, customer_id=customer_id) for funder_id in both))
    stream.settle(first, later)
    stream.tell(
        request(f"dd-{first}", at + 1, customer_id=first, amount=600_000, exclude_funders=["bank-east"]),
    )
    stream.settle(first)
    stream.tell(outcome(f"dd-{first}", "trust-south", "disbursed", at + 2, amount=600_000, customer_id=first))
    stream.until(lambda: [state for state in standings(stream, of="trust-south") if state.price > 1])
    stream.states_version = stream.said("funder-states")[-1].offset
    stream.wait_guided()
    stream.tell(request(f"dd-{later}", at + 3, customer_id=later, amount=600_000))
    (decision,) = stream.decisions(f"dd-{later}")
    assert decision.funder_id == "bank-east"
    # By weights alone it would be 0.74.
    assert decision.candidates[0].propensity > 0.9
    replayed = loanrouter("replay", "--check", "--json", **stream.settings.environment())
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    stream.configure(lambda document: None)
    stream.wait_guided()


def _paced(document: dict[str, Any]) -> None:
    document["selection"]["pacing"] = {"step": 10}
    next(each for each in document["funders"] if each["id"] == "trust-south")["quota"]["daily_count"] = 1


def call(customer_id: str, at: int, headers: Headers = (), funder_id: str = ACCUSED) -> Item:
    """A member of staff reports a call."""
    signal = CaptureSignal(
        event_id=f"call-{customer_id}",
        occurred_at=moment(at),
        funder_id=funder_id,
        kind="canary_contacted",
        customer_id=customer_id,
    )
    return Item("capture-signals", encode(signal), funder_id.encode(), at, headers)


def full_alert(stream: Service) -> CaptureAlert | None:
    """The alert over all that were called."""
    alerts = [msgspec.json.decode(said.value or b"", type=CaptureAlert) for said in stream.said("capture-alerts")]
    return next((alert for alert in alerts if alert.evidence.observed == STAFF), None)


def standings(stream: Service, after: int = -1, of: str = ACCUSED) -> list[FunderState]:
    """All published states of the accused, or another funder, after an offset."""
    told = [said for said in stream.said("funder-states") if said.offset > after and said.key == of.encode()]
    return [msgspec.json.decode(said.value or b"", type=FunderState) for said in told]
