"""Direct evidence against a funder comes out as alerts, and takes traffic from it until a person decides otherwise."""

import msgspec

from market.publication import moment
from rotation.clock import DAY, HOUR, rfc3339
from rotation.events import CaptureSignal
from rotation.outputs import CaptureAlert, FunderState, encode
from tests.rotation.world import grant, outcome, request
from tests.worker.service import Item, Service

ACCUSED = "cf-west"
STAFF = 4


def test_a_funder_that_calls_canaries_is_throttled(stream: Service) -> None:
    """Four members of staff drew money there. Two are called: it is throttled. So are the others: a person must decide.

    The person sets the funder free, and it stays free.
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
    calls = [call(customer_id, at + hours * HOUR) for hours, customer_id in enumerate(staff, 1)]
    stream.publish(*calls[:2])
    stream.until(lambda: [state for state in standings(stream)[-1:] if state.state == "throttled"])
    stream.publish(*calls[2:])
    alert = stream.until(lambda: full_alert(stream))
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


def call(customer_id: str, at: int) -> Item:
    """A member of staff reports a call."""
    signal = CaptureSignal(
        event_id=f"call-{customer_id}",
        occurred_at=moment(at),
        funder_id=ACCUSED,
        kind="canary_contacted",
        customer_id=customer_id,
    )
    return Item("capture-signals", encode(signal), ACCUSED.encode(), at)


def full_alert(stream: Service) -> CaptureAlert | None:
    """The alert over all that were called."""
    alerts = [msgspec.json.decode(said.value or b"", type=CaptureAlert) for said in stream.said("capture-alerts")]
    return next((alert for alert in alerts if alert.evidence.observed == STAFF), None)


def standings(stream: Service, after: int = -1) -> list[FunderState]:
    """All published states of the accused, after an offset."""
    told = [said for said in stream.said("funder-states") if said.offset > after]
    states = [msgspec.json.decode(said.value or b"", type=FunderState) for said in told]
    return [state for state in states if state.funder_id == ACCUSED]
