"""Invariant: a drawdown that nobody takes is held once per attempt, looked at again by what may help, and ends in time.

What may help: the borrower's own grants, outcomes and repayments, a change of configuration or funder states, an
opening time, a new Shanghai day. Nothing else, no other borrower, wakes it. What falls due is stamped with its due
time, however late it is noticed.
"""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from rotation.clock import DAY, MINUTE
from rotation.outputs import Decision
from rotation.reservations import Reserve
from tests.rotation.world import (
    ALWAYS_OPEN,
    FUNDERS,
    HOUR,
    NO_ROTATION,
    SHIPPED,
    T0,
    Heard,
    World,
    funder_state,
    grant,
    moment,
    outcome,
    repayment,
    request,
)

MIDNIGHT = T0 + 10 * HOUR
LATER = T0 + MINUTE
LONG = T0 + 5 * DAY
ONE = {"daily_amount": 90_000_000, "daily_count": 1}
OPEN = NO_ROTATION | ALWAYS_OPEN
FULL = {"funders.cf-west.quota": {"daily_amount": 90_000_000, "daily_count": 0}}


def holding(
    edits: dict[str, Any] | None = None, *, at: int = T0, expires: int = LONG, granted: tuple[str, ...] = ()
) -> World:
    """A world in which dd-1 is held since `at`."""
    world = World(OPEN | (edits or {}))
    for funder_id in granted:
        world.handle(grant(funder_id, at))
    assert world.route(request("dd-1", at, expires=expires)).status == "held"
    return world


def told(decision: Decision) -> tuple[str, str | None, int]:
    """Which decision it is, who takes it, and when it was made."""
    return decision.decision_id, decision.funder_id, moment(decision.decided_at)


def test_a_hold_says_all_that_is_known() -> None:
    """Its id marks it as a hold, nobody is a candidate, every rotation rule counts as given up."""
    held = World().route(request("dd-1"))
    assert (held.decision_id, held.status, held.attempt, held.funder_id) == ("dd-1:1:held", "held", 1, None)
    assert held.candidates == []
    assert held.excluded == {funder_id: ["no_live_grant"] for funder_id in FUNDERS}
    assert held.relaxed == ["cooldown", "max_share", "exposure_budget", "never_last"]
    assert moment(held.decided_at) == T0


def test_without_an_expiry_of_its_own_a_request_is_held_for_the_configured_time() -> None:
    """`holding.seconds` from when the request occurred, not from when it was read."""
    world = World({"holding.seconds": 60})
    held = world.handle(request("dd-1"), T0 + 20_000).decision
    assert (moment(held.decided_at), moment(held.expires_at)) == (T0 + 20_000, T0 + 60_000)


REASONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"amount": 90_000_000}, "no_candidate"),
    ({"funders.*.amount": [1, 2]}, {}, "amount_out_of_range"),
    ({"funders.*.terms": [36]}, {}, "term_not_offered"),
    ({"funders.*.grades": ["E"]}, {}, "grade_not_accepted"),
    ({"funders.*.regions": ["110000"]}, {}, "region_not_licensed"),
    ({"funders.*.age": [20, 21]}, {}, "age_out_of_range"),
    ({"funders.*.open": "15:00-16:00"}, {}, "closed"),
    ({"funders.*.status": "paused"}, {}, "funder_paused"),
    ({"apr_cap_bp": 1000}, {}, "apr_above_cap"),
    ({}, {"exclude_funders": list(FUNDERS)}, "excluded_by_request"),
    ({}, {"exclude_funders": list(FUNDERS), "term_months": 1}, "no_candidate"),
    ({"funders.*.quota": {"daily_amount": 599_999, "daily_count": 9}}, {}, "quota_exhausted"),
]


@pytest.mark.parametrize(("edits", "changes", "reason"), REASONS)
def test_the_reason_is_the_one_code_that_all_funders_share(
    edits: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    """Only when every funder is dropped by the same single code; otherwise `no_candidate`."""
    world = World(OPEN | edits)
    world.grant_all()
    assert world.route(request("dd-1", **changes)).reasons == [reason]


def test_a_held_drawdown_is_not_held_again() -> None:
    """Looked at again by all that may help, in vain: nothing more is said until its expiry."""
    world = holding({"funders.*.status": "paused"}, granted=("bank-east",))
    heard = [
        world.handle(grant("cf-west", LATER)),
        world.handle(grant("cf-west", LATER + 1, status="declined")),
        world.wake(MIDNIGHT + 9 * HOUR),
        world.configure(OPEN | {"funders.*.status": "paused", "apr_cap_bp": 2000}, MIDNIGHT + 10 * HOUR),
    ]
    assert [each.said for each in heard] == [[], [], [], []]
    assert [each.status for each in world.wake(LONG).decisions] == ["rejected"]


def test_each_attempt_may_be_held_once() -> None:
    """Held, routed, declined, held again as the second attempt, routed."""
    world = holding()
    assert told(world.handle(grant("cf-west", LATER)).decision) == ("dd-1:1", "cf-west", LATER)
    held = world.handle(outcome("dd-1", "cf-west", "declined", LATER + 1)).decision
    assert (held.decision_id, held.status, held.attempt) == ("dd-1:2:held", "held", 2)
    assert held.excluded["cf-west"] == ["already_tried"]
    assert told(world.handle(grant("cf-north", LATER + 2)).decision) == ("dd-1:2", "cf-north", LATER + 2)


def by_grant() -> Heard:
    """The missing grant comes."""
    return holding().handle(grant("cf-west", LATER))


def by_renewed_grant() -> Heard:
    """The funder raises a limit that was too small."""
    world = World(OPEN)
    world.handle(grant("cf-west", limit=1))
    world.route(request("dd-1", expires=LONG))
    return world.handle(grant("cf-west", LATER))


def freeing_the_limit(event: Callable[[], Any], *before: Any) -> Heard:
    """An earlier drawdown of the borrower takes all of the only limit, until `event`."""
    world = World(OPEN)
    world.handle(grant("cf-west", limit=600_000))
    for each in (request("past"), *before):
        world.handle(each)
    held = world.route(request("dd-1", expires=LONG))
    assert held.excluded["cf-west"] == ["grant_limit"]
    return world.handle(event())


def by_outcome() -> Heard:
    """The funder declines the earlier drawdown."""
    return freeing_the_limit(lambda: outcome("past", "cf-west", "cancelled", LATER))


def by_repayment() -> Heard:
    """The earlier loan is repaid."""
    paid = outcome("past", "cf-west", "disbursed")
    return freeing_the_limit(lambda: repayment("past", "cf-west", 0, LATER), paid)


def by_configuration() -> Heard:
    """A revision takes the funder's pause back."""
    return holding({"funders.*.status": "paused"}, granted=("cf-west",)).configure(OPEN, LATER)


def by_funder_states() -> Heard:
    """The ladder lets the funder have traffic again."""
    world = World(OPEN, states={"cf-west": funder_state("cf-west", "paused", 0.0)})
    world.handle(grant("cf-west"))
    assert world.route(request("dd-1", expires=LONG)).excluded["cf-west"] == ["funder_paused"]
    return world.configure(OPEN, LATER, states={"cf-west": funder_state("cf-west", "probing", 0.05)})


@pytest.mark.parametrize(
    "wake", [by_grant, by_renewed_grant, by_outcome, by_repayment, by_configuration, by_funder_states]
)
def test_whatever_may_help_the_borrower_wakes_a_hold(wake: Callable[[], Heard]) -> None:
    """The held drawdown is routed by the very event, at its time."""
    assert told(wake().decision) == ("dd-1:1", "cf-west", LATER)


def test_an_opening_time_wakes_a_hold() -> None:
    """Routed at the first millisecond of the opening, though only a later record told of the time."""
    opening = MIDNIGHT + 8 * HOUR
    world = holding({"funders.cf-west.open": "08:00-13:00"}, granted=("cf-west",))
    assert world.wake(opening - 1).said == []
    assert told(world.wake(opening + 3 * HOUR).decision) == ("dd-1:1", "cf-west", opening)


def test_a_new_shanghai_day_wakes_a_hold() -> None:
    """The day's quota was used up: at midnight in Shanghai, when nobody opens, there is a new one."""
    world = World(OPEN | {"funders.*.quota": ONE, "funders.*.open": "14:00-13:59"})
    world.handle(grant("cf-west"))
    world.route(request("past"))
    assert world.route(request("dd-1", expires=LONG)).excluded["cf-west"] == ["quota_exhausted"]
    assert world.wake(MIDNIGHT - 1).said == []
    assert told(world.wake(MIDNIGHT).decision) == ("dd-1:1", "cf-west", MIDNIGHT)


def test_another_borrower_does_not_wake_a_hold() -> None:
    """Room that another borrower's outcome frees is not offered; the borrower's own next event finds it."""
    world = World(OPEN | {"funders.*.quota": ONE, "attempts.max": 1})
    world.handle(grant("cf-west", customer_id="other"))
    world.route(request("theirs", customer_id="other"))
    world.handle(grant("cf-west"))
    assert world.route(request("dd-1", expires=LONG)).status == "held"
    freed = world.handle(outcome("theirs", "cf-west", "declined", LATER, customer_id="other"))
    assert freed.said == []
    assert world.wake(LATER).said == []
    assert world.handle(grant("cf-north", LATER + 1, status="declined")).decision.funder_id == "cf-west"


def test_a_repeated_or_older_event_does_not_wake_a_hold() -> None:
    """What told nothing new cannot help: room that came free meanwhile is not asked for."""
    world = World(OPEN | {"funders.*.quota": ONE, "attempts.max": 1})
    world.handle(grant("cf-west", customer_id="other"))
    world.route(request("theirs", customer_id="other"))
    world.handle(grant("cf-west", event_id="g1"))
    world.route(request("dd-1", expires=LONG))
    world.handle(outcome("theirs", "cf-west", "declined", LATER, customer_id="other"))
    for event in (grant("cf-west", event_id="g1"), grant("cf-west", T0 - 1, event_id="older")):
        heard = world.handle(event, LATER)
        assert (heard.said, heard.operations) == ([], [])


def test_a_hold_ends_at_its_expiry() -> None:
    """One millisecond before, nothing; at the expiry `rejected`, with every funder's codes of that time."""
    world = holding({"funders.cf-north.open": "09:00-14:10"}, expires=T0 + HOUR)
    assert world.wake(T0 + HOUR - 1).said == []
    rejected = world.wake(T0 + HOUR).decision
    assert (rejected.decision_id, rejected.status, rejected.funder_id) == ("dd-1:1", "rejected", None)
    assert (rejected.reasons, rejected.candidates) == (["expired"], [])
    assert rejected.excluded["cf-north"] == ["no_live_grant", "closed"]
    assert moment(rejected.decided_at) == moment(rejected.expires_at) == T0 + HOUR
    assert world.wake(LONG).said == []


def test_a_rejection_counts_every_rule_as_given_up() -> None:
    """`relaxed` lists the whole order, as the hold did, and the rule that drops the funder stands in neither."""
    order = ["never_last", "cooldown"]
    rules = {"rotation.never_last": {"n": 1}, "rotation.cooldown": {"days": 9}, "rotation.relax_order": order}
    world = World(OPEN | rules)
    world.handle(grant("cf-west"))
    world.route(request("past"))
    held = world.route(request("dd-1", amount=2_500_000, expires=T0 + MINUTE))
    rejected = world.wake(T0 + MINUTE).decision
    for decision in (held, rejected):
        assert (decision.relaxed, decision.excluded["cf-west"]) == (order, ["grant_limit"])


def test_an_event_at_the_expiry_comes_too_late() -> None:
    """What fell due happens before the event that tells the time: the grant finds the drawdown rejected."""
    world = holding(expires=T0 + HOUR)
    rejected = world.handle(grant("cf-west", T0 + 2 * HOUR)).decision
    assert (rejected.status, rejected.reasons, moment(rejected.decided_at)) == ("rejected", ["expired"], T0 + HOUR)
    assert rejected.excluded["cf-west"] == ["no_live_grant"]


def test_a_late_event_counts_at_stream_time() -> None:
    """A grant of half an hour ago, read now: now is when the drawdown is routed."""
    world = holding()
    assert told(world.handle(grant("cf-west", T0), T0 + HOUR).decision) == ("dd-1:1", "cf-west", T0 + HOUR)


def test_whatever_falls_due_first_happens_first() -> None:
    """A jump over an opening and an expiry: the one that opens in time is routed, the other rejected, each in time."""
    opening, expiry = MIDNIGHT + 8 * HOUR, MIDNIGHT + 7 * HOUR
    world = holding({"funders.cf-west.open": "08:00-13:00"}, granted=("cf-west",))
    assert world.route(request("dd-2", expires=expiry)).status == "held"
    decisions = world.wake(LONG).decisions
    assert [told(each) for each in decisions] == [("dd-2:1", None, expiry), ("dd-1:1", "cf-west", opening)]


def test_a_reservation_of_a_past_moment_ends_by_that_moment() -> None:
    """Routed at the opening, noticed days later: reserved on that day, for the configured time from then."""
    opening = MIDNIGHT + 8 * HOUR
    world = holding({"funders.cf-west.open": "08:00-13:00"}, granted=("cf-west",))
    (reserved,) = world.wake(opening + 3 * DAY).operations
    assert isinstance(reserved, Reserve)
    assert (reserved.now, reserved.day, reserved.due) == (opening, "20261102", opening + 30 * MINUTE)


def test_holds_of_one_borrower_are_looked_at_oldest_first() -> None:
    """There is room for one of two: the first asked gets it."""
    world = holding()
    world.route(request("dd-0", LATER, expires=LONG))
    heard = world.handle(grant("cf-west", LATER, limit=600_000))
    assert [told(each) for each in heard.decisions] == [("dd-1:1", "cf-west", LATER)]


@pytest.mark.parametrize(("expires", "status"), [(T0, "rejected"), (T0 - DAY, "rejected"), (T0 + 1, "routed")])
def test_a_request_that_comes_expired_is_rejected_at_once(expires: int, status: str) -> None:
    """`request_expired`, when it comes at its expiry or after; nothing is reserved and nothing held."""
    world = World(OPEN)
    world.grant_all()
    heard = world.handle(request("dd-1", T0 - HOUR, expires=expires), T0)
    decision = heard.decision
    assert decision.status == status
    if status == "rejected":
        assert (decision.decision_id, decision.reasons, heard.operations) == ("dd-1:1", ["request_expired"], [])
        assert (moment(decision.decided_at), moment(decision.expires_at)) == (T0, expires)
        assert world.wake(LONG).said == []


def test_a_default_expiry_may_be_over_on_arrival_too() -> None:
    """Read a quarter of an hour after it occurred: `holding.seconds` is over."""
    assert World().handle(request("dd-1", T0), T0 + 15 * MINUTE).decision.reasons == ["request_expired"]


@pytest.mark.parametrize(("ends", "status"), [(T0 + HOUR, "rejected"), (LONG, "routed")])
def test_what_time_alone_causes_carries_the_trace_of_the_request(ends: int, status: str) -> None:
    """An expiry, or a routing at an opening time, has no event of its own whose trace it could carry."""
    trace = (("traceparent", b"00-1-2-01"), ("tracestate", b"a=b"))
    world = World(OPEN | {"funders.cf-west.open": "08:00-13:00"})
    world.handle(grant("cf-west"), trace=(("traceparent", b"another"),))
    (held,) = world.handle(request("dd-1", expires=ends), trace=trace).said
    assert (held.status, held.by_time, held.trace) == ("held", False, [])
    (ended,) = world.wake(ends).said
    assert (ended.status, ended.by_time, ended.trace) == (status, True, list(trace))


@pytest.mark.parametrize("by_event", [False, True])
def test_a_change_of_configuration_carries_the_trace_of_the_request(by_event: bool) -> None:
    """No event of the borrower caused it; a grant, on the other hand, has a trace of its own."""
    trace = (("traceparent", b"00-1-2-01"),)
    world = World(OPEN | {"funders.cf-west.status": "paused"})
    world.handle(grant("cf-west"))
    world.handle(request("dd-1"), trace=trace)
    heard = world.handle(grant("cf-north", LATER)) if by_event else world.configure(OPEN, LATER)
    (routed,) = heard.said
    assert (routed.by_time, routed.trace) == ((False, []) if by_event else (True, list(trace)))


def test_a_rejection_tells_who_lacked_room() -> None:
    """Who had none at the last try stands in `excluded`, beside the code that drops them by now."""
    world = World(OPEN | FULL)
    world.handle(grant("cf-west", expires=T0 + HOUR))
    held = world.route(request("dd-1", expires=T0 + 2 * HOUR))
    rejected = world.wake(T0 + 2 * HOUR).decision
    assert held.excluded["cf-west"] == ["quota_exhausted"]
    assert rejected.excluded == held.excluded | {"cf-west": ["no_live_grant", "quota_exhausted"]}
    assert list(rejected.excluded) == list(held.excluded)


def test_a_rejection_tells_what_the_last_try_found() -> None:
    """A grant has come since the hold, whose funder was full then too: only the rejection can tell."""
    world = World(OPEN | FULL)
    held = world.route(request("dd-1", expires=T0 + 2 * HOUR))
    assert world.handle(grant("cf-west", T0 + 1)).said == []
    assert world.wake(T0 + 2 * HOUR).decision.excluded == held.excluded | {"cf-west": ["quota_exhausted"]}


def test_a_rejection_tells_nothing_of_what_held_before_the_last_try() -> None:
    """The full funder was paused then, so nobody asked for its room."""
    world = World(OPEN | FULL)
    world.handle(grant("cf-west"))
    held = world.route(request("dd-1", expires=T0 + 2 * HOUR))
    assert world.configure(OPEN | FULL | {"funders.cf-west.status": "paused"}, T0 + 1).said == []
    assert world.wake(T0 + 2 * HOUR).decision.excluded == held.excluded | {"cf-west": ["funder_paused"]}


def test_a_rejection_tells_nothing_of_room_on_a_day_without_a_try() -> None:
    """The money of an earlier attempt moved after all: there is no further try, and yesterday's quota says nothing."""
    world = World(OPEN | {"attempts.max": 2, "funders.cf-north.quota": FULL["funders.cf-west.quota"]})
    world.grant_all(but=("bank-east", "trust-south"))
    assert world.route(request("dd-1", expires=LONG)).funder_id == "cf-west"
    held = world.handle(outcome("dd-1", "cf-west", "timed_out", T0 + 1)).decision
    world.handle(outcome("dd-1", "cf-west", "disbursed", T0 + 2))
    rejected = world.wake(LONG).decision
    assert (held.excluded["cf-north"], rejected.status) == (["quota_exhausted"], "rejected")
    assert "cf-north" not in rejected.excluded


def test_a_rejection_tells_nothing_of_a_funder_that_is_gone() -> None:
    """A revision without the full funder comes into force when the drawdown has expired."""
    world = World(OPEN | FULL)
    world.handle(grant("cf-west"))
    held = world.route(request("dd-1", expires=T0 + 2 * HOUR))
    others = [funder for funder in yaml.safe_load(SHIPPED.read_text())["funders"] if funder["id"] != "cf-west"]
    rejected = world.configure({"funders": others}, T0 + 2 * HOUR).decision
    assert (rejected.status, "cf-west" in held.excluded, "cf-west" in rejected.excluded) == ("rejected", True, False)
