"""Invariant: of each funder's answers the newest by its own time stands; of equal times the later in the log.

What is older, or was told before, changes nothing: not the grant, not a held drawdown, not who has seen the borrower.
"""

from copy import deepcopy
from itertools import permutations
from typing import Any

import pytest

from rotation.clock import DAY, MINUTE
from rotation.events import CreditGrant
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, T0, Heard, World, grant, request

OPEN = NO_ROTATION | ALWAYS_OPEN
LATER = T0 + DAY


def changes(world: World, event: CreditGrant, now: int = LATER) -> tuple[Heard, bool]:
    """Fold a grant in: what was heard, and whether the borrower's record changed."""
    before = deepcopy(world.borrower())
    heard = world.handle(event, now)
    assert heard.refusal is None
    return heard, world.borrower() != before


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_grants_in_any_order_end_alike(order: tuple[int, ...]) -> None:
    """The newest answer stands, whichever came last."""
    answers = [
        grant("cf-west", T0, limit=1_000_000),
        grant("cf-west", T0 + 1, status="revoked"),
        grant("cf-west", T0 + 2, limit=2_000_000, apr=2000),
    ]
    world = World(OPEN)
    for index in order:
        world.handle(answers[index], LATER)
    assert world.free_limit("cf-west", LATER) == 2_000_000


@pytest.mark.parametrize("status", ["approved", "declined", "revoked", "expired"])
def test_an_older_answer_changes_nothing(status: str) -> None:
    """Whatever it says, and though a drawdown waits."""
    world = World(OPEN)
    world.handle(grant("cf-west", T0, limit=1_000_000))
    world.handle(request("dd-1", T0, amount=2_000_000, expires=LATER + DAY))
    heard, changed = changes(world, grant("cf-west", T0 - 1, status=status), T0 + 1)
    assert (changed, heard.said, heard.operations) == (False, [], [])


@pytest.mark.parametrize("last", ["approved", "declined", "revoked", "expired"])
def test_of_answers_at_the_same_time_the_later_in_the_log_counts(last: str) -> None:
    """Two events of one millisecond, both orders."""
    world = World(OPEN)
    world.handle(grant("cf-west", T0, limit=1_000_000, event_id="g1"))
    _, changed = changes(world, grant("cf-west", T0, status=last, limit=2_000_000, event_id="g2"))
    assert changed
    assert world.free_limit("cf-west", LATER) == (2_000_000 if last == "approved" else 0)


def test_an_event_that_was_told_before_changes_nothing() -> None:
    """Of two answers at one time the first comes again: known by its id, it does not push the second out."""
    world = World(OPEN)
    first = grant("cf-west", T0, limit=1_000_000, event_id="g1")
    world.handle(first)
    world.handle(grant("cf-west", T0, limit=2_000_000, event_id="g2"))
    heard, changed = changes(world, first)
    assert (changed, heard.said) == (False, [])
    assert world.free_limit("cf-west", LATER) == 2_000_000


def test_an_id_is_remembered_through_many_answers() -> None:
    """A dozen answers of one time, all told again in order: the last one stands."""
    world = World(OPEN)
    answers = [grant("cf-west", T0, limit=1_000_000 + index, event_id=f"g{index}") for index in range(12)]
    for each in answers:
        world.handle(each, LATER)
    assert not any(changes(world, each)[1] for each in answers)
    assert world.free_limit("cf-west", LATER) == 1_000_011


@pytest.mark.parametrize("status", ["declined", "revoked", "expired"])
def test_an_answer_other_than_approved_ends_the_line(status: str) -> None:
    """The next drawdown finds no live grant; a later approval opens the line again."""
    world = World(OPEN)
    world.handle(grant("cf-west", T0))
    world.handle(grant("cf-west", T0 + 1, status=status))
    ended = world.route(request("dd-1", T0 + 2, expires=LATER))
    assert ended.excluded["cf-west"] == ["no_live_grant"]
    assert world.handle(grant("cf-west", T0 + 3)).decision.funder_id == "cf-west"


def test_a_line_that_is_renewed_is_the_new_one() -> None:
    """Limit, rate and expiry are those of the newest answer, not the better of two."""
    world = World(OPEN)
    world.handle(grant("cf-west", T0, limit=3_000_000, apr=1000, expires=T0 + 9 * DAY))
    world.handle(grant("cf-west", T0 + 1, limit=500_000, apr=2401, expires=T0 + MINUTE))
    assert world.route(request("dd-1", T0 + 2)).excluded["cf-west"] == ["grant_limit", "apr_above_cap"]
    assert world.route(request("dd-2", T0 + MINUTE)).excluded["cf-west"] == ["no_live_grant"]


def test_each_funder_answers_for_itself() -> None:
    """An older answer of one funder is not measured by a newer one of another."""
    world = World(OPEN)
    world.handle(grant("cf-north", T0 + 5), LATER)
    world.handle(grant("cf-west", T0), LATER)
    assert world.route(request("dd-1", LATER)).excluded.keys() == {"bank-east", "trust-south"}


def budget(at: int, **answers: int) -> dict[str, Any]:
    """Who is dropped from a drawdown at `at`, when one funder within 10 days is budgeted."""
    rule = {"rotation.exposure_budget": {"funders": 1, "within_days": 10}}
    world = World(OPEN | rule)
    for funder_id, when in answers.items():
        world.handle(grant(funder_id.replace("_", "-"), when), at)
    return world.route(request("dd-1", at)).excluded


def test_a_funder_saw_the_borrower_when_it_answered() -> None:
    """By the time of the answer, not of its arrival: an old answer that arrives today has left the budget's window."""
    assert budget(T0, cf_west=T0 - 9 * DAY, cf_north=T0 - 11 * DAY)["cf-north"] == ["exposure_budget"]
    assert "cf-west" not in budget(T0, cf_west=T0 - 11 * DAY, cf_north=T0 - 11 * DAY)


def test_the_latest_time_a_funder_saw_the_borrower_counts() -> None:
    """An answer that is older than the drawdown routed there does not make the exposure older."""
    world = World(OPEN | {"rotation.exposure_budget": {"funders": 1, "within_days": 10}, "attempts.max": 1})
    world.handle(grant("cf-west", T0), LATER)
    assert world.route(request("dd-1", LATER)).funder_id == "cf-west"
    world.handle(grant("cf-west", T0 + 1, event_id="before-dd-1"), LATER)
    world.handle(grant("cf-north", T0 - 20 * DAY), LATER)
    later = world.route(request("dd-2", T0 + 10 * DAY + MINUTE))
    assert (later.funder_id, later.excluded["cf-north"]) == ("cf-west", ["exposure_budget"])
