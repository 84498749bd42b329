"""What is played to the worker for the golden logs.

`in_order` is told as it happens, every stamp later than the one before, so that a replay that has only the inputs
can tell their order too. `out_of_order` is what publishers and crashes make of the order.
"""

import json
import signal
from typing import Any

import msgspec

from rotation.clock import DAY, MINUTE
from rotation.outputs import Decision
from tests.replay.recording import Story
from tests.rotation.world import FUNDERS, funder_state, grant, outcome, repayment, request
from tests.worker.service import TRACE

HOUR = 60 * MINUTE
SHARES = {
    "rotation": {
        "never_last": {"n": 1},
        "max_share": {"of_last": 3, "at_most": 0.34},
        "exposure_budget": {"funders": 3, "within_days": 1},
        "relax_order": ["exposure_budget", "max_share"],
        "min_live_grants": 3,
    }
}
GUARANTEED = {
    "enhanced": True,
    "balance": 10_000_000,
    "guaranteed": 4_800_000,
    "cap": 0.5,
    "as_of": "2027-01-01T00:00:00+08:00",
}


def in_order(story: Story) -> None:
    """Three days from 14:00 on 1 January 2027 in Shanghai: every input topic, every way of a drawdown."""
    _rotation(story)
    _bad_records(story)
    _attempts(story)
    _holds_of_a_borrower(story)
    _ladder(story)
    _overnight(story)
    _guarantee(story)
    _shares(story)


def _rotation(story: Story) -> None:
    """Rotated over three funders, then a rule is given up; repeats of everything; repayments."""
    story.grants("ann", "bank-east", "cf-north", "cf-west")
    served = []
    for number in (1, 2, 3):
        served.append(story.ask(f"dd-ann-{number}", headers=TRACE))
        story.answer(served[-1], "disbursed")
    fourth = story.ask("dd-ann-4", exclude_funders=["bank-nobody-knows"], canary=True)
    assert fourth.relaxed == ["cooldown"]
    story.tell(
        request("dd-ann-4", story.now - MINUTE, customer_id="ann", exclude_funders=["bank-nobody-knows"], canary=True)
    )
    story.tell(request("dd-ann-4", story.now, customer_id="ann", amount=700_000))  # other content
    story.answer(fourth, "cancelled", headers=TRACE)
    story.answer(fourth, "cancelled", event_id="o-ann-again")
    story.answer(fourth, "declined")  # contradicts the first
    for left in (400_000, 0, 0):
        story.tell(repayment("dd-ann-1", served[0].funder_id or "", left, story.now, customer_id="ann"))
        story.after(MINUTE)
    story.tell(repayment("dd-ann-9", "cf-west", 0, story.now, customer_id="ann"))  # never routed
    story.after(MINUTE)


def _bad_records(story: Story) -> None:
    """One of each kind that a log can hold, and a field that is not known yet."""
    good: dict[str, Any] = {"event_id": "g-1", "occurred_at": "2027-01-01T07:00:00Z", "customer_id": "ben"}
    good |= {"funder_id": "cf-west", "status": "approved", "credit_limit": 3_000_000, "apr_bp": 1800}
    good |= {"expires_at": "2030-01-01T00:00:00+08:00"}
    story.publish("credit-grants", b'{"event_id": ', b"ben")
    story.publish("credit-grants", b"\xff\xfe", b"ben", (("x-bytes", b"\xff"), ("x-nothing", None)))
    story.publish("credit-grants", json.dumps(good | {"credit_limit": 0}).encode(), b"ben")
    story.publish("credit-grants", json.dumps(good | {"funder_id": "bank-nobody-knows"}).encode(), b"ben")
    story.publish("credit-grants", json.dumps(good).encode(), b"someone-else")
    story.publish("drawdown-requests", None, b"ben")
    story.publish("drawdown-outcomes", b"[]", b"ben")
    story.publish("repayments", b'{"event_id": "p-1"}', b"ben")
    story.publish("credit-grants", json.dumps(good | {"campaign": "spring"}).encode(), b"ben")
    told = {"event_id": "s-1", "occurred_at": "2027-01-01T07:00:00Z", "funder_id": "cf-west", "kind": "borrower_report"}
    story.publish("capture-signals", json.dumps(told).encode(), b"cf-west")


def _attempts(story: Story) -> None:
    """Failed and timed out: the next attempt, as often as is allowed; money that moved after all."""
    story.grants("gus", "bank-east", "cf-north", "cf-west")
    story.answer(story.ask("dd-gus-1"), "failed", headers=TRACE)
    second = story.latest("dd-gus-1")
    assert second.attempt == 2
    story.answer(second, "timed_out")
    story.answer(second, "disbursed", amount=500_000)  # late, and another amount
    story.answer(story.ask("dd-gus-2"), "timed_out")
    silent = story.latest("dd-gus-2")
    story.after(31 * MINUTE)  # its reservation ends
    story.pass_time()
    story.answer(silent, "disbursed")


def _holds_of_a_borrower(story: Story) -> None:
    """Held until a grant, an outcome, a repayment; rejected at the expiry, or at once when that is past."""
    story.ask("dd-bob-1", headers=TRACE)
    story.grants("bob", "cf-west")
    story.grants("nia", "cf-west", limit=1_000_000)
    story.grants("nia", "cf-north", status="declined")
    first = story.ask("dd-nia-1")
    assert story.ask("dd-nia-2").excluded["cf-west"] == ["grant_limit"]
    story.answer(first, "failed")
    assert story.latest("dd-nia-1").excluded["cf-west"] == ["grant_limit", "already_tried"]
    story.answer(story.latest("dd-nia-2"), "disbursed")
    assert story.ask("dd-nia-3").status == "held"
    story.tell(repayment("dd-nia-2", "cf-west", 100_000, story.now, customer_id="nia"))
    story.after(MINUTE)
    assert story.latest("dd-nia-3").status == "routed"
    story.ask("dd-fay-1", headers=TRACE)
    story.ask("dd-fay-2", expires=story.now - MINUTE)
    story.after(HOUR)
    story.pass_time()
    assert story.latest("dd-fay-1").reasons == story.latest("dd-nia-1").reasons == ["expired"]


def _ladder(story: Story) -> None:
    """A funder is paused by the ladder, and is let in again."""
    story.grants("hal", "cf-north")
    story.set_state(funder_state("cf-north", "paused", 0.0, A=0.6))
    assert story.ask("dd-hal-1").status == "held"
    story.set_state(funder_state("cf-north", "probing", 0.05, A=0.61))
    assert story.latest("dd-hal-1").status == "routed"
    story.set_state(funder_state("cf-north", "normal", 1.0, A=0.62))


def _overnight(story: Story) -> None:
    """A quota of one drawdown a day, which one borrower takes from another of the other partition; hours that end."""
    story.grants("dan", "cf-west")
    story.grants("eve", "cf-west")
    assert story.service.partition("dan") != story.service.partition("eve")
    story.grants("cid", "trust-south")
    story.revise({}, ("cf-west", {"quota": {"daily_amount": 300_000_000, "daily_count": 1}}))
    tomorrow = story.now + DAY
    for name in ("dan", "eve"):
        assert story.ask(f"dd-{name}-1", expires=tomorrow).excluded["cf-west"] == ["quota_exhausted"]
    story.after(6 * HOUR)
    assert story.ask("dd-cid-1", expires=tomorrow).excluded["trust-south"] == ["closed"]
    story.after(12 * HOUR)
    story.pass_time()
    # At midnight one of them takes the day's place; its reservation ends without an outcome, and the other, looked at
    # again when a funder opens in the morning, takes it then.
    woken = {name: story.latest(f"dd-{name}-1").decided_at for name in ("eve", "dan", "cid")}
    assert woken == {
        "eve": "2027-01-01T16:00:00.000Z",
        "dan": "2027-01-01T22:00:00.000Z",
        "cid": "2027-01-02T00:00:00.000Z",
    }


def _guarantee(story: Story) -> None:
    """A consumer-finance company at its cap, until the next revision."""
    story.grants("ivy", "cf-north")
    story.revise({}, ("cf-north", {"guarantee": GUARANTEED}))
    assert story.ask("dd-ivy-1", headers=TRACE).excluded["cf-north"] == ["guarantee_ratio"]
    story.revise({})
    assert story.latest("dd-ivy-1").status == "routed"


def _shares(story: Story) -> None:
    """Grants of long ago, rules on shares and exposure, given up one after the other."""
    story.grants("lea", "bank-east", "cf-north", "cf-west", "trust-south")
    story.after(2 * DAY)
    story.revise(SHARES)
    relaxed = []
    for number in range(1, 6):
        decision = story.ask(f"dd-lea-{number}")
        relaxed.append(decision.relaxed)
        story.answer(decision, "disbursed")
    for only in ("cf-north", decision.funder_id):
        number += 1
        relaxed.append(
            story.ask(f"dd-lea-{number}", exclude_funders=[each for each in FUNDERS if each != only]).relaxed
        )
    assert relaxed == [[], [], [], [], [], ["exposure_budget"], ["exposure_budget", "max_share"]]
    story.after(DAY)
    story.pass_time()


def out_of_order(story: Story) -> None:
    """Late, early and repeated events, timestamps that go back, and a worker that is killed in the middle."""
    story.tell(outcome("dd-kim-1", "cf-west", "disbursed", story.now, customer_id="kim"))  # before its request
    held = story.ask("dd-kim-1")  # before the grants that were given before it
    story.tell(grant("cf-west", story.now - HOUR, customer_id="kim"))
    story.tell(grant("cf-west", story.now - 2 * HOUR, status="revoked", customer_id="kim"))  # older: changes nothing
    story.tell(grant("cf-north", story.now - HOUR, customer_id="kim"))
    first = story.latest("dd-kim-1")
    assert (held.status, first.status) == ("held", "routed")
    _kill_and_go_on(story, first)
    second = story.latest("dd-kim-1")
    assert second.attempt == 2
    story.tell(repayment("dd-kim-1", second.funder_id or "", 100_000, story.now - HOUR, customer_id="kim"))
    story.answer(second, "disbursed")  # after its repayment
    story.ask("dd-kim-2")
    story.grants("lou", "cf-north", limit=700_000)
    story.tell(grant("cf-north", story.now - MINUTE // 6, event_id="g-lou-more", customer_id="lou"))  # of the same time
    story.tell(request("dd-lou-1", story.now - HOUR, customer_id="lou"))  # came when it had expired
    story.tell(request("dd-lou-2", story.now - 5 * MINUTE, customer_id="lou", amount=2_000_000))  # came late
    assert [story.latest(f"dd-lou-{n}").reasons for n in (1, 2)] == [["request_expired"], ["only_candidate"]]
    later = story.latest("dd-lou-2")
    story.answer(later, "timed_out")
    story.tell(outcome("dd-lou-2", "cf-north", "disbursed", story.now - HOUR, customer_id="lou", amount=1_900_000))


def _kill_and_go_on(story: Story, first: Decision) -> None:
    """What is told while no worker runs is done by the next one, whatever the one before had published."""
    worker = story.service.workers
    worker.signal("only", signal.SIGKILL)
    story.after(MINUTE)
    again = request("dd-kim-1", story.now, customer_id="kim")
    story.service.tell(msgspec.structs.replace(again, event_id="r-kim-again"))
    story.service.tell(outcome("dd-kim-1", first.funder_id or "", "declined", story.now - HOUR, customer_id="kim"))
    worker.start("only")
    worker.wait_ready("only")
    story.service.settle("kim")
