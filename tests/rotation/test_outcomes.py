"""Invariant: an attempt has one outcome, and it counts once: in the book, for the funder, and for the next attempt.

`disbursed` alone makes a loan, and also when the platform had given up before: money that moved counts. Repeats change
nothing, contradictions are refused and change nothing.
"""

from copy import deepcopy
from typing import Any

import pytest

from rotation.clock import DAY, MINUTE
from rotation.events import DrawdownOutcome
from rotation.outputs import FunderOutcome
from rotation.reservations import Commit, Release, Repay, Reserve, Usage
from tests.rotation.world import (
    ALWAYS_OPEN,
    FUNDERS,
    HOUR,
    NO_ROTATION,
    T0,
    World,
    grant,
    moment,
    outcome,
    repayment,
    request,
)

KEY = "cust-1/dd-1:1"
LATER = T0 + MINUTE
ENDED = T0 + 30 * MINUTE
LONG = T0 + 5 * DAY
STATUSES = ("disbursed", "declined", "cancelled", "timed_out", "failed")
TRIED_AGAIN = ("declined", "timed_out", "failed")
OPEN = NO_ROTATION | ALWAYS_OPEN | {"attempts.max": 9}


def routed(edits: dict[str, Any] | None = None, *granted: str, expires: int = LONG) -> World:
    """dd-1 is routed to cf-west at T0; then grants come from `granted`."""
    world = World(OPEN | (edits or {}))
    world.handle(grant("cf-west"))
    assert world.route(request("dd-1", expires=expires)).funder_id == "cf-west"
    for funder_id in granted:
        world.handle(grant(funder_id))
    return world


def answer(status: str, at: int = LATER, **changes: Any) -> DrawdownOutcome:
    """The outcome of dd-1's first attempt, at cf-west."""
    return outcome("dd-1", "cf-west", status, at, **changes)


def told(status: Any, at: int = LATER, *, late: bool = False) -> FunderOutcome:
    """What the funders' agent hears of it where no other funder can be asked: of a loan also the amount."""
    loan, alone = status == "disbursed", status == "declined"
    return FunderOutcome("cf-west", "A", status, at, late, decided_at=T0, amount=600_000 if loan else 0, alone=alone)


@pytest.mark.parametrize("status", STATUSES)
def test_every_outcome_settles_its_reservation_and_is_told_to_the_funders_agent(status: str) -> None:
    """`disbursed` commits it, the others release it; grade, stream time and the amount lent go along."""
    heard = routed().handle(answer(status, T0), LATER)
    loan = Commit(KEY, "cf-west", 600_000, T0, "20261101")
    assert heard.operations[0] == (loan if status == "disbursed" else Release(KEY, "cf-west"))
    assert heard.for_funders == [told(status)]
    assert heard.refusal is None


@pytest.mark.parametrize("status", STATUSES)
def test_declined_timed_out_and_failed_lead_to_the_next_attempt(status: str) -> None:
    """A new decision with the next number, at the outcome's time; after `cancelled` or a loan nothing is said."""
    heard = routed({}, "cf-north").handle(answer(status))
    if status not in TRIED_AGAIN:
        assert heard.said == []
        return
    decision = heard.decision
    assert (decision.decision_id, decision.attempt, decision.funder_id) == ("dd-1:2", 2, "cf-north")
    assert (moment(decision.decided_at), moment(decision.expires_at)) == (LATER, LONG)
    assert decision.excluded["cf-west"] == ["already_tried"]
    asked = heard.operations[1]
    assert isinstance(asked, Reserve)
    assert (asked.id, asked.candidates, asked.now) == ("cust-1/dd-1:2", ("cf-north",), LATER)


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_no_more_attempts_than_configured(most: int) -> None:
    """Each funder declines in turn, until `attempts.max` were made."""
    world = World(OPEN | {"attempts.max": most})
    world.grant_all()
    decisions = [world.route(request("dd-1", expires=LONG))]
    while decisions[-1].funder_id is not None:
        funder_id, attempt = decisions[-1].funder_id, decisions[-1].attempt
        heard = world.handle(outcome("dd-1", funder_id, "declined", LATER, attempt=attempt))
        if not heard.said:
            break
        decisions.append(heard.decision)
    assert [each.attempt for each in decisions] == list(range(1, most + 1))
    assert {each.funder_id for each in decisions} <= set(FUNDERS)
    assert len({each.funder_id for each in decisions}) == most


@pytest.mark.parametrize(("now", "tried"), [(LONG - 1, True), (LONG, False)])
def test_an_expired_drawdown_is_not_tried_again(now: int, tried: bool) -> None:
    """At its expiry it is over, whenever the funder said to have answered."""
    heard = routed({}, "cf-north").handle(answer("declined", T0), now)
    assert [each.attempt for each in heard.decisions] == ([2] if tried else [])
    assert heard.for_funders != []


def test_only_the_present_attempts_outcome_leads_on() -> None:
    """A repeat of the first attempt's refusal, while the second is with a funder, starts no third."""
    world = routed({}, *FUNDERS)
    second = world.handle(answer("declined")).decision
    again = world.handle(answer("declined", LATER + 1, event_id="another"))
    assert (again.said, again.operations, again.for_funders, again.refusal) == ([], [], [], None)
    third = world.handle(outcome("dd-1", second.funder_id or "", "failed", LATER + 2, attempt=2)).decision
    assert third.attempt == 3
    assert {funder_id for funder_id, codes in third.excluded.items() if "already_tried" in codes} == {
        "cf-west",
        second.funder_id,
    }


@pytest.mark.parametrize("second", STATUSES)
@pytest.mark.parametrize("first", STATUSES)
def test_an_attempt_has_one_outcome(first: str, second: str) -> None:
    """The same again changes nothing, another one is refused, and only `disbursed` may still follow a giving up."""
    world = routed({"attempts.max": 1})
    world.handle(answer(first))
    before = deepcopy(world.borrower())
    heard = world.handle(answer(second, LATER + 1))
    if second == first:
        assert (heard.refusal, heard.operations, heard.for_funders, world.borrower()) == (None, [], [], before)
    elif second == "disbursed" and first in ("timed_out", "failed"):
        assert heard.refusal is None
        assert heard.operations == [Commit(KEY, "cf-west", 600_000, T0, "20261101")]
        assert heard.for_funders == [told("disbursed", LATER + 1, late=True)]
    else:
        assert heard.refusal is not None
        assert heard.refusal.reason == "conflicting_duplicate"
        assert (heard.said, heard.operations, heard.for_funders, world.borrower()) == ([], [], [], before)


@pytest.mark.parametrize("gave_up", ["timed_out", "failed"])
def test_a_loan_after_giving_up_is_as_final_as_any(gave_up: str) -> None:
    """Both of its outcomes may be repeated without effect; every other one is refused."""
    world = routed({"attempts.max": 1})
    world.handle(answer(gave_up))
    world.handle(answer("disbursed", LATER + 1))
    for status in STATUSES:
        heard = world.handle(answer(status, LATER + 2))
        known = status in (gave_up, "disbursed")
        assert (heard.refusal is None) is known
        assert (heard.operations, heard.for_funders) == ([], [])


UNKNOWN = [
    outcome("dd-1", "cf-north", "disbursed", LATER),
    outcome("dd-1", "cf-west", "disbursed", LATER, attempt=2),
    outcome("dd-2", "cf-west", "disbursed", LATER),
    outcome("dd-1", "cf-west", "disbursed", LATER, customer_id="other"),
    outcome("held", "cf-west", "declined", LATER),
]


@pytest.mark.parametrize("event", UNKNOWN, ids=["funder", "attempt", "drawdown", "borrower", "held"])
def test_an_outcome_of_what_was_never_routed_there_is_refused(event: DrawdownOutcome) -> None:
    """`unknown_drawdown`, and nothing changes."""
    world = routed()
    world.route(request("held", amount=90_000_000, expires=LONG))
    before = deepcopy(world.borrower())
    heard = world.handle(event)
    assert heard.refusal is not None
    assert heard.refusal.reason == "unknown_drawdown"
    assert (heard.said, heard.operations, heard.for_funders, world.borrower()) == ([], [], [], before)


@pytest.mark.parametrize("status", STATUSES)
def test_only_a_loan_goes_on_taking_of_the_limit(status: str) -> None:
    """3,000,000 fen, less the loan; all other outcomes give the reserved part back."""
    world = routed({"attempts.max": 1})
    assert world.free_limit("cf-west", LATER) == 2_400_000
    world.handle(answer(status))
    assert world.free_limit("cf-west", LATER) == (2_400_000 if status == "disbursed" else 3_000_000)


@pytest.mark.parametrize("amount", [250_000, 900_000])
def test_a_loan_of_another_amount_corrects_what_was_reserved(amount: int) -> None:
    """In the book, for that day's quota, and on the borrower's limit."""
    world = routed()
    heard = world.handle(answer("disbursed", amount=amount))
    assert heard.operations == [Commit(KEY, "cf-west", amount, T0, "20261101")]
    assert world.book.usage("20261101", LONG)["cf-west"].amount == amount
    assert world.free_limit("cf-west", LATER) == 3_000_000 - amount


def test_a_loan_counts_on_the_day_of_its_decision() -> None:
    """Disbursed after midnight in Shanghai, it still takes of the day on which it was decided."""
    world = routed({"reservation.ttl_seconds": 86_400})
    world.handle(answer("disbursed", T0 + 11 * HOUR))
    assert world.book.usage("20261101", LONG)["cf-west"].count == 1
    assert world.book.usage("20261102", LONG)["cf-west"].count == 0


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "disbursed"])
def test_what_was_released_gives_the_days_quota_back(status: str) -> None:
    """The book holds nothing for it any more."""
    world = routed({"attempts.max": 1})
    world.handle(answer(status))
    assert world.book.usage("20261101", LATER)["cf-west"] == Usage(0, 0, 0)


def test_a_reservation_ends_by_itself_and_says_nothing() -> None:
    """After `reservation.ttl_seconds` limit and quota are free again; that is no outcome and no next attempt."""
    world = routed({}, "cf-north")
    assert (world.free_limit("cf-west", ENDED - 1), world.free_limit("cf-west", ENDED)) == (2_400_000, 3_000_000)
    assert [world.book.usage("20261101", at)["cf-west"].count for at in (ENDED - 1, ENDED)] == [1, 0]
    heard = world.wake(LONG - 1)
    assert (heard.said, heard.operations, heard.for_funders) == ([], [], [])


@pytest.mark.parametrize(("at", "late"), [(ENDED - 1, False), (ENDED, True), (LONG + DAY, True)])
def test_a_loan_after_its_reservation_ended_still_counts(at: int, late: bool) -> None:
    """Money moved: limit and quota are taken, and it is told as late."""
    world = routed()
    heard = world.handle(answer("disbursed", T0), at)
    assert heard.operations == [Commit(KEY, "cf-west", 600_000, T0, "20261101")]
    assert heard.for_funders == [told("disbursed", at, late=late)]
    assert world.book.usage("20261101", at)["cf-west"] == Usage(600_000, 1, 0)
    assert world.free_limit("cf-west", at) == 2_400_000


@pytest.mark.parametrize("status", TRIED_AGAIN)
def test_an_outcome_after_the_reservation_ended_still_leads_on(status: str) -> None:
    """The drawdown itself has not expired, so the next funder is asked."""
    assert routed({}, "cf-north").handle(answer(status, ENDED)).decision.funder_id == "cf-north"


def test_a_loan_after_giving_up_makes_a_hold_of_the_next_attempt_run_out() -> None:
    """The borrower has the money: the second attempt is not routed any more, not even when a funder could take it."""
    world = routed()
    assert world.handle(answer("timed_out")).decision.status == "held"
    assert world.handle(answer("disbursed", LATER + 1)).said == []
    assert world.handle(grant("cf-north", LATER + 2)).said == []
    rejected = world.wake(LONG).decision
    assert (rejected.decision_id, rejected.reasons) == ("dd-1:2", ["expired"])


def test_a_loan_after_giving_up_makes_the_second_attempt_the_last() -> None:
    """The second funder declines: nobody else is asked to lend once more."""
    world = routed({}, "cf-north", "bank-east")
    second = world.handle(answer("timed_out")).decision
    world.handle(answer("disbursed", LATER + 1))
    assert world.handle(outcome("dd-1", second.funder_id or "", "declined", LATER + 2, attempt=2)).said == []


def test_a_loan_that_was_repaid_before_it_was_told_is_committed_as_repaid() -> None:
    """The whole loan takes of the day's quota, and only what is still owed of the guarantee."""
    world = routed()
    world.handle(repayment("dd-1", "cf-west", 200_000, LATER))
    heard = world.handle(answer("disbursed", LATER + 1))
    assert heard.operations == [
        Commit(KEY, "cf-west", 600_000, T0, "20261101"),
        Repay(KEY, "cf-west", 200_000),
    ]
