"""Invariant: a borrower below `min_live_grants` is advised one funder at a time, which its own rules let take them.

Never beyond the exposure budget unless a drawdown is held, never where a live grant is, never where the last answer was
a recent no.
"""

from collections import Counter
from typing import Any

import pytest

from rotation.clock import DAY, MINUTE
from rotation.outputs import CreditApplication
from tests.rotation.world import ALWAYS_OPEN, FUNDERS, NO_ROTATION, T0, World, funder_state, grant, moment, request

WANTED = NO_ROTATION | ALWAYS_OPEN | {"rotation.min_live_grants": 3}
WEEK = 7 * DAY


def world_of(edits: dict[str, Any] | None = None, **more: Any) -> World:
    """Three live grants are wanted."""
    return World(WANTED | (edits or {}), **more)


def advised(world: World, at: int = T0, **changes: Any) -> list[CreditApplication]:
    """What is advised when cf-west grants a line, and then takes a drawdown that nobody else may take."""
    others = [funder_id for funder_id in FUNDERS if funder_id != "cf-west"]
    events = (grant("cf-west", at), request(f"dd-{at}", at, exclude_funders=others, **changes))
    return [application for event in events for application in world.handle(event).applications]


def test_below_the_wanted_number_one_funder_is_advised() -> None:
    """Whom the advice is for, where to apply, why and when."""
    (application,) = advised(world_of())
    assert (application.customer_id, application.reason) == ("cust-1", "below_min_live_grants")
    assert application.funder_id in {"bank-east", "cf-north", "trust-south"}
    assert moment(application.occurred_at) == T0
    assert application.application_id.startswith("app-")
    assert len(application.application_id) <= 64


@pytest.mark.parametrize(("wanted", "number"), [(0, 0), (1, 0), (2, 1)])
def test_with_enough_live_grants_nothing_is_advised(wanted: int, number: int) -> None:
    """One live grant is enough for one wanted, whatever is left of its limit."""
    world = world_of({"rotation.min_live_grants": wanted})
    assert len(advised(world, amount=3_000_000)) == number


def test_a_grant_that_ran_out_is_no_live_grant() -> None:
    """The next event after its expiry brings advice."""
    world = world_of({"rotation.min_live_grants": 1})
    world.handle(grant("cf-west", expires=T0 + DAY))
    assert world.handle(request("dd-1", T0 + DAY - 1)).applications == []
    assert len(world.handle(request("dd-2", T0 + DAY)).applications) == 1


def where(edits: dict[str, Any] | None = None, *, states: dict[str, Any] | None = None, **changes: Any) -> set[str]:
    """The funders that fifty borrowers without grants, each with a held drawdown, are advised."""
    world = world_of(edits, states=states)
    heard = [world.handle(request("dd-1", customer_id=f"cust-{number}", **changes)) for number in range(50)]
    return {application.funder_id for each in heard for application in each.applications}


FITTING: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    ({}, {}, {"bank-east", "cf-north", "cf-west", "trust-south"}),
    ({}, {"region": "440000"}, {"cf-north", "cf-west", "trust-south"}),
    ({}, {"region": "650000"}, {"cf-north", "cf-west"}),
    ({}, {"risk_grade": "D"}, {"cf-north", "cf-west"}),
    ({}, {"risk_grade": "E"}, {"cf-west"}),
    ({}, {"age": 20}, {"cf-north", "cf-west"}),
    ({}, {"age": 22}, {"bank-east", "cf-north", "cf-west"}),
    ({}, {"age": 55}, {"bank-east", "cf-north", "cf-west", "trust-south"}),
    ({}, {"age": 60}, {"cf-north", "cf-west"}),
    ({}, {"age": 61}, set()),
    ({"funders.cf-west.status": "paused"}, {"risk_grade": "E"}, set()),
    ({"funders.cf-west.status": "paused"}, {"region": "650000"}, {"cf-north"}),
]


@pytest.mark.parametrize(("edits", "changes", "expected"), FITTING)
def test_only_funders_that_would_take_the_borrower_are_advised(
    edits: dict[str, Any], changes: dict[str, Any], expected: set[str]
) -> None:
    """Region, grade, age and pause; over many borrowers each fitting funder is advised to some."""
    assert where(edits, **changes) == expected


def test_a_funder_that_the_ladder_paused_is_not_advised() -> None:
    """It takes nothing now."""
    paused = {"cf-west": funder_state("cf-west", "paused", 0.0)}
    assert where(states=paused, region="650000") == {"cf-north"}


def test_advice_follows_the_weights_of_the_choice() -> None:
    """A funder of ten times the weight is advised to most borrowers."""
    world = world_of({"funders.cf-north.weight": 20, "selection.exploration": 0.0})
    heard = [world.handle(request("dd-1", customer_id=f"cust-{number}", region="650000")) for number in range(200)]
    counts = Counter(application.funder_id for each in heard for application in each.applications)
    assert counts["cf-north"] > 150 > counts["cf-west"] > 0


def test_advice_waits_a_week_for_its_answer() -> None:
    """No further funder is told of the borrower meanwhile; then the advice counts as not followed."""
    world = world_of()
    assert len(advised(world)) == 1
    assert advised(world, T0 + WEEK - 1) == []
    assert len(advised(world, T0 + WEEK)) == 1
    assert advised(world, T0 + 2 * WEEK - 1) == []


@pytest.mark.parametrize("status", ["approved", "declined"])
def test_an_answer_brings_the_next_advice(status: str) -> None:
    """The funder answered: if grants are still missing, another one is advised at once."""
    world = world_of()
    (first,) = advised(world)
    (second,) = world.handle(grant(first.funder_id, T0 + 1, status=status)).applications
    assert second.funder_id not in ("cf-west", first.funder_id)


def test_an_answer_of_another_funder_leaves_the_advice_open() -> None:
    """Only the advised one's answer closes it."""
    world = world_of()
    (first,) = advised(world)
    other = next(each for each in FUNDERS if each not in ("cf-west", first.funder_id))
    assert world.handle(grant(other, T0 + 1, status="declined")).applications == []


@pytest.mark.parametrize(
    ("status", "after", "again"),
    [
        ("declined", 90 * DAY - 1, False),
        ("declined", 90 * DAY, True),
        ("revoked", 90 * DAY - 1, False),
        ("revoked", 90 * DAY, True),
        ("expired", 1, True),
    ],
)
def test_a_funder_that_said_no_is_left_alone_for_90_days(status: str, after: int, again: bool) -> None:
    """A line that merely ran out may be asked for again at once."""
    world = world_of()
    for funder_id in ("bank-east", "cf-north", "trust-south"):
        world.handle(grant(funder_id, T0, status=status))
    assert bool(advised(world, T0 + after)) is again


BUDGET = {"rotation.exposure_budget": {"funders": 2, "within_days": 10}}


def test_nobody_new_sees_the_borrower_beyond_the_exposure_budget() -> None:
    """Two have seen them: only the one of the two without a grant may be asked again."""
    world = world_of(BUDGET)
    world.handle(grant("cf-north", T0, status="expired"))
    assert [each.funder_id for each in advised(world)] == ["cf-north"]
    world = world_of(BUDGET)
    world.handle(grant("cf-north", T0, status="declined"))
    assert advised(world) == []


@pytest.mark.parametrize(("within", "number"), [(10 * DAY - 1, 0), (10 * DAY, 1)])
def test_the_budget_looks_back_as_far_as_configured(within: int, number: int) -> None:
    """An answer that has left the window leaves room for somebody new."""
    world = world_of(BUDGET)
    world.handle(grant("cf-north", T0 - within, status="declined"))
    assert len(advised(world)) == number


def test_for_a_held_drawdown_the_budget_gives_way() -> None:
    """Nobody can take it: better one more funder than none. The reason says so."""
    world = world_of(BUDGET | {"rotation.relax_order": ["exposure_budget"]})
    world.handle(grant("bank-east", T0, status="declined"))
    world.handle(grant("cf-north", T0, status="declined"))
    (application,) = world.handle(request("dd-1", T0)).applications
    assert (application.reason, application.funder_id in ("cf-west", "trust-south")) == ("drawdown_held", True)


@pytest.mark.parametrize("known", [{"region": "650000"}, {"risk_grade": "A"}], ids=str)
def test_without_region_and_grade_nothing_can_be_advised(known: dict[str, Any]) -> None:
    """Grants alone need not tell them; when both are known the borrower is advised, whatever their age."""
    world = world_of()
    assert world.handle(grant("cf-west")).applications == []
    assert world.handle(grant("cf-west", T0 + 1, **known)).applications == []
    (application,) = world.handle(grant("cf-west", T0 + 2, region="650000", risk_grade="A")).applications
    assert application.funder_id == "cf-north"


def test_what_a_grant_does_not_tell_stays_known() -> None:
    """A later answer without region or grade takes nothing away."""
    world = world_of({"funders.bank-east.regions": ["110000"], "funders.trust-south.regions": ["110000"]})
    world.handle(grant("cf-west", T0, region="650000", risk_grade="A"))
    world.handle(grant("cf-north", T0 + 1))
    heard = world.handle(grant("cf-north", T0 + 2, status="expired"))
    assert [each.funder_id for each in heard.applications] == ["cf-north"]


def test_a_refused_event_brings_no_advice() -> None:
    """It changes nothing, and asks nobody."""
    world = world_of()
    advised(world)
    refused = world.handle(request(f"dd-{T0}", T0 + WEEK, amount=1))
    assert refused.refusal is not None
    assert refused.applications == []


def test_the_same_history_brings_the_same_advice() -> None:
    """Two borrowers of one id are advised alike, with the same application id; other times have other ids."""
    first, second = (advised(world_of()) for _ in range(2))
    assert first == second
    later = advised(world_of(), T0 + MINUTE)
    assert later[0].application_id != first[0].application_id
