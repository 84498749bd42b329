"""Invariant: each time that a borrower might have been lost to a funder is told once, and at most one return after it.

A return is a further request, or to be served by another funder in the same drawdown.
"""

from rotation.clock import DAY, MINUTE
from rotation.outputs import Departure, EarlySettlement, FunderOutcome, FunderReturn
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, T0, World, grant, outcome, repayment, request

OPEN = NO_ROTATION | ALWAYS_OPEN | {"attempts.max": 3}
MONTH = 30 * DAY


def world(*funders: str) -> World:
    """A borrower with grants at these funders, cf-west first where there are several."""
    made = World(OPEN | {"selection.seed": "returns"})
    for funder_id in funders:
        made.handle(grant(funder_id))
    return made


def returns(played: World, drawdown_id: str, at: int) -> list[FunderReturn]:
    """The returns that a request at `at` tells of."""
    heard = played.handle(request(drawdown_id, at), at)
    return [event for event in heard.for_funders if isinstance(event, FunderReturn)]


def back(after: Departure, since: int, at: int, funder_id: str = "cf-west") -> FunderReturn:
    """A return of a borrower of grade A."""
    return FunderReturn(funder_id, "A", after, since, at)


def answered(played: World, drawdown_id: str, status: str, at: int) -> None:
    """cf-west is asked at `at` and answers a minute later."""
    played.handle(request(drawdown_id, at), at)
    played.handle(outcome(drawdown_id, "cf-west", status, at + MINUTE), at + MINUTE)


def test_who_asks_again_is_back_once() -> None:
    """After a loan, and not a second time with the third request."""
    played = world("cf-west")
    answered(played, "dd-1", "disbursed", T0)
    assert returns(played, "dd-2", T0 + MONTH) == [back("loan", T0, T0 + MONTH)]
    assert returns(played, "dd-3", T0 + 2 * MONTH) == []


def test_a_repeated_request_is_no_return() -> None:
    """The same drawdown told again says nothing of the borrower."""
    played = world("cf-west")
    answered(played, "dd-1", "disbursed", T0)
    assert returns(played, "dd-1", T0) == []


def test_dead_ends_and_walk_aways_are_told_apart() -> None:
    """By what the funder answered where no other one can be asked."""
    for status, after in (("declined", "dead_end"), ("cancelled", "walk_away")):
        played = world("cf-west")
        answered(played, "dd-1", status, T0)
        assert returns(played, "dd-2", T0 + MONTH) == [back(after, T0, T0 + MONTH)]  # type: ignore[arg-type]


def test_who_was_never_answered_or_failed_to_be_has_not_left() -> None:
    """An open reservation, a time-out and a technical failure are no departures."""
    for status in (None, "timed_out", "failed"):
        played = world("cf-west")
        played.handle(request("dd-1", T0), T0)
        if status is not None:
            played.handle(outcome("dd-1", "cf-west", status, T0 + MINUTE), T0 + MINUTE)
        assert returns(played, "dd-2", T0 + MONTH) == []


def test_to_be_served_by_the_next_funder_is_to_be_back() -> None:
    """The first attempt was refused, the second one disbursed: the first funder did not take the borrower away."""
    played = world("cf-west", "cf-north")
    first = played.route(request("dd-1", T0, expires=T0 + DAY)).funder_id
    assert first is not None
    (second,) = played.handle(outcome("dd-1", first, "declined", T0 + MINUTE), T0 + MINUTE).decisions
    assert second.funder_id is not None
    heard = played.handle(outcome("dd-1", second.funder_id, "disbursed", T0 + DAY, attempt=2), T0 + DAY)
    assert [event for event in heard.for_funders if isinstance(event, FunderReturn)] == [
        back("refusal", T0, T0 + DAY, first)
    ]
    assert returns(played, "dd-2", T0 + MONTH) == [back("loan", T0 + MINUTE, T0 + MONTH, second.funder_id)]


def test_a_refusal_tells_whether_another_funder_was_asked_then() -> None:
    """Asked later, when a grant had come, that one serves whom nobody else could serve at the time."""
    played = world("cf-west", "cf-north")
    first = played.route(request("dd-1", T0, expires=T0 + DAY)).funder_id
    assert first is not None
    (told,) = played.handle(outcome("dd-1", first, "declined", T0 + MINUTE), T0 + MINUTE).for_funders
    assert isinstance(told, FunderOutcome)
    assert not told.alone

    played = world("cf-west")
    played.handle(request("dd-1", T0, expires=T0 + DAY), T0)
    (told,) = played.handle(outcome("dd-1", "cf-west", "declined", T0 + MINUTE), T0 + MINUTE).for_funders
    assert isinstance(told, FunderOutcome)
    assert told.alone
    (second,) = played.handle(grant("cf-north"), T0 + 2 * MINUTE).decisions
    assert (second.funder_id, second.attempt) == ("cf-north", 2)
    heard = played.handle(outcome("dd-1", "cf-north", "disbursed", T0 + DAY, attempt=2), T0 + DAY)
    assert back("dead_end", T0, T0 + DAY) in heard.for_funders


def test_a_later_attempt_that_is_refused_is_no_departure() -> None:
    """It may fail for what the first funder did."""
    played = world("cf-west", "cf-north")
    first = played.route(request("dd-1", T0, expires=T0 + DAY)).funder_id
    assert first is not None
    (second,) = played.handle(outcome("dd-1", first, "declined", T0 + MINUTE), T0 + MINUTE).decisions
    assert second.funder_id is not None
    played.handle(outcome("dd-1", second.funder_id, "cancelled", T0 + 2 * MINUTE, attempt=2), T0 + 2 * MINUTE)
    assert returns(played, "dd-2", T0 + MONTH) == [back("refusal", T0, T0 + MONTH, first)]


def test_who_settles_early_departs_once_more() -> None:
    """The settlement is told with the loan's decision; who comes back after it is back from both."""
    played = world("cf-west")
    answered(played, "dd-1", "disbursed", T0)
    heard = played.handle(repayment("dd-1", "cf-west", 0, T0 + 9 * DAY, kind="settled_early"), T0 + 9 * DAY)
    assert heard.for_funders == [EarlySettlement("cf-west", "A", T0, T0 + 9 * DAY)]
    assert returns(played, "dd-2", T0 + MONTH) == [
        back("loan", T0, T0 + MONTH),
        back("settlement", T0 + 9 * DAY, T0 + MONTH),
    ]
    assert returns(played, "dd-3", T0 + 2 * MONTH) == []


def test_who_was_back_before_settling_early_may_leave_again() -> None:
    """The settlement waits for a return of its own."""
    played = world("cf-west")
    answered(played, "dd-1", "disbursed", T0)
    assert returns(played, "dd-2", T0 + DAY) == [back("loan", T0, T0 + DAY)]
    played.handle(repayment("dd-1", "cf-west", 0, T0 + 9 * DAY, kind="settled_early"), T0 + 9 * DAY)
    assert returns(played, "dd-3", T0 + MONTH) == [back("settlement", T0 + 9 * DAY, T0 + MONTH)]


def test_a_loan_that_runs_out_as_agreed_is_no_departure() -> None:
    """Only who settles early has got the money elsewhere."""
    played = world("cf-west")
    answered(played, "dd-1", "disbursed", T0)
    heard = played.handle(repayment("dd-1", "cf-west", 0, T0 + 9 * DAY, kind="settled"), T0 + 9 * DAY)
    assert heard.for_funders == []
