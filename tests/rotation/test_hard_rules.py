"""Invariant: a hard rule drops a funder exactly outside its bound, in its own code, and beside every other code.

Each case stands on its bound, just inside it or just outside it; the funder asked about is one of the shipped ones.
"""

from typing import Any

import pytest

from rotation.clock import DAY, MINUTE
from tests.rotation.world import (
    ALWAYS_OPEN,
    FUNDERS,
    HOUR,
    NO_ROTATION,
    T0,
    World,
    funder_state,
    grant,
    outcome,
    request,
)

MIDNIGHT = T0 + 10 * HOUR


def codes(world: World, funder_id: str, at: int = T0, **changes: Any) -> list[str]:
    """The codes that drop the funder from a drawdown asked for at `at`."""
    return world.route(request("dd-1", at, **changes)).excluded.get(funder_id, [])


def world_of(edits: dict[str, Any] | None = None, **grants: Any) -> World:
    """Live grants everywhere since a day, no rotation rules."""
    world = World(NO_ROTATION | (edits or {}))
    for funder_id in FUNDERS:
        world.handle(grant(funder_id, T0 - DAY, **grants))
    return world


REQUESTS = [
    ("bank-east", {"amount": 50_000}, []),
    ("bank-east", {"amount": 49_999}, ["amount_out_of_range"]),
    ("trust-south", {"amount": 500_000}, []),
    ("trust-south", {"amount": 499_999}, ["amount_out_of_range"]),
    ("cf-west", {"amount": 10_000_000}, []),
    ("cf-west", {"amount": 10_000_001}, ["amount_out_of_range"]),
    ("bank-east", {"age": 22}, []),
    ("bank-east", {"age": 21}, ["age_out_of_range"]),
    ("bank-east", {"age": 55}, []),
    ("bank-east", {"age": 56}, ["age_out_of_range"]),
    ("cf-west", {"term_months": 9}, []),
    ("cf-north", {"term_months": 9}, ["term_not_offered"]),
    ("trust-south", {"risk_grade": "B"}, []),
    ("trust-south", {"risk_grade": "C"}, ["grade_not_accepted"]),
    ("trust-south", {"region": "440000"}, []),
    ("bank-east", {"region": "440000"}, ["region_not_licensed"]),
    ("cf-north", {"region": "650000"}, []),
    ("cf-west", {"exclude_funders": ["cf-west"]}, ["excluded_by_request"]),
    ("cf-north", {"exclude_funders": ["cf-west"]}, []),
    ("cf-north", {"exclude_funders": ["nobody-knows"]}, []),
    ("cf-north", {"exclude_funders": None}, []),
    (
        "trust-south",
        {"age": 60, "amount": 100_000, "term_months": 9, "risk_grade": "E", "region": "650000"},
        ["region_not_licensed", "grade_not_accepted", "age_out_of_range", "amount_out_of_range", "term_not_offered"],
    ),
]


@pytest.mark.parametrize(("funder_id", "changes", "expected"), REQUESTS)
def test_a_request_on_its_bound_passes_and_beyond_it_is_dropped(
    funder_id: str, changes: dict[str, Any], expected: list[str]
) -> None:
    """Amount, age, term, grade, region and the request's own exclusions; every code that applies is named."""
    assert codes(world_of(limit=90_000_000), funder_id, **changes) == expected


GRANTS = [
    ({"expires": T0 + 1}, []),
    ({"expires": T0}, ["no_live_grant"]),
    ({"expires": T0 - 1}, ["no_live_grant"]),
    ({"status": "declined"}, ["no_live_grant"]),
    ({"status": "revoked"}, ["no_live_grant"]),
    ({"status": "expired"}, ["no_live_grant"]),
    ({"limit": 600_000}, []),
    ({"limit": 600_001}, []),
    ({"limit": 599_999}, ["grant_limit"]),
    ({"apr": 2400}, []),
    ({"apr": 2401}, ["apr_above_cap"]),
    ({"apr": 2401, "limit": 1}, ["grant_limit", "apr_above_cap"]),
    ({"apr": 2401, "limit": 1, "expires": T0}, ["no_live_grant"]),
]


@pytest.mark.parametrize(("changes", "expected"), GRANTS)
def test_a_grant_is_live_and_large_and_cheap_enough_up_to_its_bound(
    changes: dict[str, Any], expected: list[str]
) -> None:
    """Expiry, status, free limit and annual rate; the last two are judged only where the grant is live."""
    assert codes(world_of(**changes), "cf-west") == expected


def test_without_any_grant_there_is_no_live_grant() -> None:
    """A funder that never answered has no live grant."""
    assert World().route(request("dd-1")).excluded == {funder_id: ["no_live_grant"] for funder_id in FUNDERS}


def test_the_cap_on_rates_is_the_configured_one() -> None:
    """`apr_cap_bp` moves the bound."""
    world = world_of({"apr_cap_bp": 1799})
    assert codes(world, "cf-west") == ["apr_above_cap"]


HOURS = [
    ("08:00-20:00", MIDNIGHT + 8 * HOUR - 1, True),
    ("08:00-20:00", MIDNIGHT + 8 * HOUR, False),
    ("08:00-20:00", MIDNIGHT + 20 * HOUR - 1, False),
    ("08:00-20:00", MIDNIGHT + 20 * HOUR, True),
    ("22:00-02:30", MIDNIGHT - 2 * HOUR - 1, True),
    ("22:00-02:30", MIDNIGHT - 2 * HOUR, False),
    ("22:00-02:30", MIDNIGHT - 1, False),
    ("22:00-02:30", MIDNIGHT, False),
    ("22:00-02:30", MIDNIGHT + 150 * MINUTE - 1, False),
    ("22:00-02:30", MIDNIGHT + 150 * MINUTE, True),
    ("00:00-24:00", MIDNIGHT - 1, False),
    ("00:00-24:00", MIDNIGHT, False),
    ("18:00-24:00", MIDNIGHT - 1, False),
    ("18:00-24:00", MIDNIGHT, True),
]


@pytest.mark.parametrize(("hours", "at", "closed"), HOURS)
def test_opening_hours_are_shanghai_time_and_may_cross_midnight(hours: str, at: int, closed: bool) -> None:
    """Open from the first minute on, closed from the last minute on."""
    world = world_of(ALWAYS_OPEN | {"funders.cf-west.open": hours})
    assert codes(world, "cf-west", at) == (["closed"] if closed else [])


@pytest.mark.parametrize(
    ("state", "paused"),
    [
        (funder_state("cf-west", "paused", 0.0), True),
        (funder_state("cf-west", "paused", 0.5), True),
        (funder_state("cf-west", "throttled", 0.0), True),
        (funder_state("cf-west", "probing", 0.05), False),
        (funder_state("cf-west", "normal", 1.0), False),
    ],
)
def test_the_ladder_pauses_a_funder(state: Any, paused: bool) -> None:
    """A funder whose state is `paused`, or that keeps none of its traffic, takes nothing."""
    world = World(NO_ROTATION, states={"cf-west": state})
    world.grant_all()
    assert codes(world, "cf-west") == (["funder_paused"] if paused else [])


def test_the_configuration_pauses_a_funder() -> None:
    """Status `paused` in the configuration is the other way to be paused."""
    world = world_of({"funders.cf-west.status": "paused"})
    assert codes(world, "cf-west") == ["funder_paused"]
    assert codes(world_of(), "cf-west") == []


def test_a_funder_that_was_tried_is_not_tried_again() -> None:
    """The next attempt of a drawdown excludes the funder of the earlier one; another drawdown does not."""
    world = world_of()
    first = world.route(request("dd-1")).funder_id or ""
    second = world.handle(outcome("dd-1", first, "declined")).decision
    assert second.excluded[first] == ["already_tried"]
    assert second.funder_id != first
    assert first not in world.route(request("dd-2")).excluded


def test_what_is_reserved_or_owed_narrows_the_free_limit() -> None:
    """Free limit is the limit less outstanding and reserved: a pending drawdown takes of it, to the fen."""
    world = World(NO_ROTATION)
    world.handle(grant("cf-west", limit=1_000_000))
    assert world.route(request("dd-1", amount=600_000)).funder_id == "cf-west"
    assert world.route(request("dd-2", amount=400_001)).excluded["cf-west"] == ["grant_limit"]
    assert world.route(request("dd-3", amount=400_000)).funder_id == "cf-west"


@pytest.mark.parametrize(("quota", "room"), [((600_000, 1), True), ((599_999, 1), False), ((600_000, 0), False)])
def test_a_days_quota_is_full_at_its_amount_or_count(quota: tuple[int, int], room: bool) -> None:
    """`quota_exhausted` by amount or by count; what just fits is taken."""
    amount, count = quota
    world = World(NO_ROTATION | {"funders.*.quota": {"daily_amount": amount, "daily_count": count}})
    world.handle(grant("cf-west"))
    decision = world.route(request("dd-1"))
    assert decision.funder_id == ("cf-west" if room else None)
    assert decision.excluded.get("cf-west", []) == ([] if room else ["quota_exhausted"])


@pytest.mark.parametrize(("guaranteed", "room"), [(400_000, True), (400_001, False)])
def test_the_guaranteed_share_may_reach_its_cap_and_no_more(guaranteed: int, room: bool) -> None:
    """(guaranteed + amount) / (balance + amount) ≤ cap: half of 2,000,000 fen is 1,000,000."""
    guarantee = {"enhanced": True, "balance": 1_400_000, "guaranteed": guaranteed, "cap": 0.5}
    world = World(NO_ROTATION | {"funders.cf-north.guarantee": guarantee | {"as_of": "2026-11-01T00:00:00+08:00"}})
    world.handle(grant("cf-north"))
    decision = world.route(request("dd-1"))
    assert decision.excluded.get("cf-north", []) == ([] if room else ["guarantee_ratio"])
