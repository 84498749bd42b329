"""Invariant: a rotation rule is given up only when nobody is left, in the configured order, and a decision tells all.

Who was passed over for want of room stands in `excluded` with its code, propensities stay those before the
reservation, and a drawdown that nobody takes names what kept it.
"""

from typing import Any

import pytest

from rotation.clock import DAY
from tests.rotation.world import FUNDERS, NO_ROTATION, T0, World, grant, outcome, request

WEST_LAST = {"rotation.never_last": {"n": 1}, "rotation.cooldown": {"days": 14}}
FULL = {"daily_amount": 0, "daily_count": 0}


def returning(edits: dict[str, Any], *funder_ids: str) -> World:
    """A borrower with one loan at cf-west and live grants at `funder_ids`."""
    world = World(NO_ROTATION | edits)
    world.handle(grant("cf-west"))
    world.route(request("past"))
    world.handle(outcome("past", "cf-west", "disbursed"))
    for funder_id in funder_ids:
        world.handle(grant(funder_id))
    return world


@pytest.mark.parametrize(
    ("order", "relaxed", "dropped"),
    [
        (["cooldown", "never_last"], ["cooldown", "never_last"], []),
        (["never_last", "cooldown"], ["never_last", "cooldown"], []),
    ],
)
def test_rules_are_given_up_in_the_configured_order(order: list[str], relaxed: list[str], dropped: list[str]) -> None:
    """Both rules stand against the only funder: both go, in their order, and the decision says so."""
    decision = returning(WEST_LAST | {"rotation.relax_order": order}).route(request("dd-1", T0 + DAY))
    assert (decision.funder_id, decision.relaxed) == ("cf-west", relaxed)
    assert decision.excluded.get("cf-west", []) == dropped
    assert decision.reasons == ["only_candidate", "relaxed"]


def test_a_rule_is_given_up_only_as_far_as_needed() -> None:
    """The cooldown is given up first; it was all that stood against the funder, so the next rule is kept."""
    edits = WEST_LAST | {"rotation.relax_order": ["cooldown", "never_last"]}
    world = World(NO_ROTATION | edits)
    for funder_id in ("bank-east", "cf-west"):
        world.handle(grant(funder_id))
    first = world.route(request("dd-1")).funder_id or ""
    second = world.route(request("dd-2"))
    third = world.route(request("dd-3"))
    assert second.funder_id != first
    assert (second.relaxed, second.reasons) == ([], ["only_candidate"])
    assert (third.funder_id, third.relaxed) == (first, ["cooldown"])
    assert third.excluded[second.funder_id or ""] == ["never_last"]


def test_rules_given_up_earlier_stay_given_up() -> None:
    """`never_last` comes second, so the cooldown is gone with it, though it stood against another funder only."""
    edits = {
        "rotation.exposure_budget": {"funders": 1, "within_days": 100},
        "rotation.never_last": {"n": 1},
        "rotation.relax_order": ["exposure_budget", "never_last"],
    }
    decision = returning(edits).route(request("dd-1", T0 + DAY))
    assert decision.relaxed == ["exposure_budget", "never_last"]
    assert all("exposure_budget" not in codes for codes in decision.excluded.values())


def test_nothing_is_given_up_while_somebody_is_left() -> None:
    """A funder that passes every rule takes the drawdown; the rules' codes stand beside the others."""
    edits = WEST_LAST | {"rotation.relax_order": ["cooldown", "never_last"]}
    decision = returning(edits, "bank-east").route(request("dd-1", T0 + DAY))
    assert (decision.funder_id, decision.relaxed) == ("bank-east", [])
    assert decision.excluded["cf-west"] == ["never_last", "cooldown"]
    assert decision.excluded["cf-north"] == ["no_live_grant"]


def test_a_level_without_room_gives_way_to_the_next() -> None:
    """The only funder left has no room: the next level is tried, and the full one stays out under its code."""
    edits = WEST_LAST | {"rotation.relax_order": ["cooldown", "never_last"], "funders.bank-east.quota": FULL}
    decision = returning(edits, "bank-east").route(request("dd-1", T0 + DAY))
    assert (decision.funder_id, decision.relaxed) == ("cf-west", ["cooldown", "never_last"])
    assert decision.excluded["bank-east"] == ["quota_exhausted"]
    assert [each.funder_id for each in decision.candidates] == ["cf-west"]


def test_no_level_helps_against_hard_rules() -> None:
    """Every rule is given up and nobody is left: held; `relaxed` lists all rules, `excluded` only hard codes."""
    edits = WEST_LAST | {"rotation.relax_order": ["cooldown", "never_last"], "funders.cf-west.status": "paused"}
    world = returning({}, "bank-east")
    world.configure(NO_ROTATION | edits, T0)
    decision = world.route(request("dd-1", T0 + DAY, exclude_funders=["bank-east"]))
    assert (decision.status, decision.reasons, decision.relaxed) == (
        "held",
        ["no_candidate"],
        ["cooldown", "never_last"],
    )
    assert decision.excluded == {
        "bank-east": ["excluded_by_request"],
        "cf-north": ["no_live_grant"],
        "cf-west": ["funder_paused"],
        "trust-south": ["no_live_grant"],
    }
    assert decision.candidates == []


def test_a_rule_outside_the_order_is_never_given_up() -> None:
    """`relax_order` leaves `never_last` out: held rather than routed, and still so named when it expires."""
    world = returning(WEST_LAST | {"rotation.relax_order": ["cooldown"]})
    held = world.route(request("dd-1", T0 + DAY, exclude_funders=["bank-east"]))
    assert (held.status, held.relaxed, held.excluded["cf-west"]) == ("held", ["cooldown"], ["never_last"])
    rejected = world.wake(T0 + 2 * DAY).decisions[-1]
    assert (rejected.status, rejected.relaxed, rejected.excluded["cf-west"]) == (
        "rejected",
        ["cooldown"],
        ["never_last"],
    )


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ({}, "no_live_grant"),
        ({"funders.cf-west.status": "paused"}, "no_candidate"),
    ],
)
def test_a_code_on_which_all_exclusions_agree_is_the_reason(edits: dict[str, Any], reason: str) -> None:
    """One code for every funder is the more exact reason; two different ones are `no_candidate`."""
    assert World(NO_ROTATION | edits).route(request("dd-1")).reasons == [reason]


def test_an_exhausted_market_is_held_as_such() -> None:
    """All funders are out of quota: the reason is `quota_exhausted`."""
    world = World(NO_ROTATION | {"funders.*.quota": FULL})
    world.grant_all()
    decision = world.route(request("dd-1"))
    assert (decision.status, decision.reasons) == ("held", ["quota_exhausted"])
    assert decision.excluded == {funder_id: ["quota_exhausted"] for funder_id in FUNDERS}


def test_who_is_passed_over_moves_to_excluded_and_propensities_stay() -> None:
    """The first in rank is full: it leaves `candidates`, the rest keep their order and the shares from before."""
    before = World(NO_ROTATION)
    before.grant_all()
    free = before.route(request("dd-1"))
    first, *rest = free.candidates
    world = World(NO_ROTATION | {f"funders.{first.funder_id}.quota": FULL})
    world.grant_all()
    decision = world.route(request("dd-1"))
    assert decision.candidates == rest
    assert decision.excluded == {first.funder_id: ["quota_exhausted"]}
    assert decision.funder_id == rest[0].funder_id
    assert sum(each.propensity for each in decision.candidates) == pytest.approx(1 - first.propensity)
    assert sum(each.propensity for each in free.candidates) == pytest.approx(1)


def test_lower_ranks_are_not_asked_for_room() -> None:
    """Funders are looked at down to the chosen one: a full one below it stays a candidate."""
    before = World(NO_ROTATION)
    before.grant_all()
    ranked = [each.funder_id for each in before.route(request("dd-1")).candidates]
    world = World(NO_ROTATION | {f"funders.{ranked[-1]}.quota": FULL})
    world.grant_all()
    decision = world.route(request("dd-1"))
    assert [each.funder_id for each in decision.candidates] == ranked
    assert (decision.funder_id, decision.reasons, decision.excluded) == (ranked[0], ["ranked_first"], {})


def test_a_decision_names_the_configuration_and_the_states_it_took_into_account() -> None:
    """Revision, its hash, the funder-states version, and the drawdown's own times and ids."""
    decision = World().route(request("dd-1", T0, expires=T0 + 1234))
    assert (decision.config_revision, decision.config_sha256, decision.funder_states_version) == (7, "abc", -1)
    assert (decision.decided_at, decision.expires_at) == ("2026-11-01T06:00:00.000Z", "2026-11-01T06:00:01.234Z")
    assert (decision.decision_id, decision.drawdown_id, decision.customer_id) == ("dd-1:1:held", "dd-1", "cust-1")
