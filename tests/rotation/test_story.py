"""Law: the contract's story comes out as its notes say, under the shipped configuration.

One note needs more than the story tells: dd-1 has no outcome, so after 20 days its reservation has ended and it is
exposure only (contract, section 8). The funder of dd-1 is kept from dd-2 when dd-1 was paid out, and not otherwise.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from rotation.events import CaptureSignal
from rotation.outputs import Decision
from streams.codec import BadInput, decode
from tests.rotation.world import Heard, World, moment, outcome

STORY = Path(__file__).parents[1] / "contract" / "examples" / "story.jsonl"
LINES: list[dict[str, Any]] = [json.loads(line) for line in STORY.read_text().splitlines()]
GRANTED = {"bank-east", "cf-north", "cf-west"}
NONE_LIVE = {funder_id: ["no_live_grant"] for funder_id in (*GRANTED, "trust-south")}


def tell(world: World, event_id: str, *, repeat: bool = False) -> Heard:
    """Publish one event of the story, as its record stands there."""
    line = [each for each in LINES if each["value"]["event_id"] == event_id][repeat]
    event = decode(
        line["topic"],
        line["key"].encode(),
        json.dumps(line["value"]).encode(),
        line["timestamp"],
        known_funders=world.policy.limits,
        latest=None,
    )
    assert not isinstance(event, BadInput | CaptureSignal)
    return world.handle(event, line["timestamp"])


@pytest.fixture
def world() -> World:
    """The shipped configuration, and nothing known of anybody."""
    return World()


@pytest.fixture
def first(world: World) -> Heard:
    """What was said to dd-1, after its borrower's three grants."""
    for event_id in ("g1", "g2", "g3"):
        assert tell(world, event_id).said == []
    return tell(world, "r1")


def ranked(decision: Decision) -> set[str]:
    """The candidates."""
    return {candidate.funder_id for candidate in decision.candidates}


def test_three_live_grants_any_of_them_may_be_chosen(first: Heard) -> None:
    """dd-1 is routed to the first of the three."""
    decision = first.decision
    assert (decision.status, decision.reasons, decision.relaxed) == ("routed", ["ranked_first"], [])
    assert ranked(decision) == GRANTED
    assert decision.funder_id == decision.candidates[0].funder_id
    assert decision.excluded == {"trust-south": ["no_live_grant"]}
    assert sum(candidate.propensity for candidate in decision.candidates) == pytest.approx(1)


def test_the_same_request_again_gets_the_same_decision_byte_for_byte(world: World, first: Heard) -> None:
    """r1 comes twice."""
    again = tell(world, "r1", repeat=True)
    assert (again.values, again.operations) == (first.values, [])


def test_twenty_days_later_the_funder_of_a_loan_is_not_chosen_again(world: World, first: Heard) -> None:
    """dd-1 was paid out: `never_last` keeps its funder from dd-2. The cooldown of 14 days is over."""
    chosen = first.decision.funder_id or ""
    world.handle(
        outcome("dd-1", chosen, "disbursed", moment(first.decision.decided_at) + 1, customer_id="cust-0001"),
    )
    decision = tell(world, "r2").decision
    assert decision.status == "routed"
    assert decision.excluded == {chosen: ["never_last"], "trust-south": ["no_live_grant"]}
    assert ranked(decision) == GRANTED - {chosen}


@pytest.mark.usefixtures("first")
def test_twenty_days_later_a_drawdown_without_outcome_is_exposure_only(world: World) -> None:
    """Nothing came of dd-1: no rotation rule looks at it, and all three may take dd-2."""
    decision = tell(world, "r2").decision
    assert (decision.status, decision.relaxed) == ("routed", [])
    assert decision.excluded == {"trust-south": ["no_live_grant"]}
    assert ranked(decision) == GRANTED


def test_a_drawdown_before_its_grant_is_held_and_woken_by_it(world: World) -> None:
    """dd-3 is routed to the only live grant, at the time of the grant."""
    held = tell(world, "r3").decision
    assert (held.decision_id, held.status, held.reasons) == ("dd-3:1:held", "held", ["no_live_grant"])
    assert held.excluded == NONE_LIVE
    decision = tell(world, "g4").decision
    assert (decision.decision_id, decision.funder_id, decision.reasons) == ("dd-3:1", "cf-west", ["only_candidate"])
    assert decision.decided_at == "2026-11-01T06:00:45.000Z"
    assert [candidate.propensity for candidate in decision.candidates] == [1.0]


def test_a_grant_above_the_cap_is_of_no_use(world: World) -> None:
    """dd-4 is held, and rejected when its quarter of an hour is over."""
    tell(world, "g5")
    held = tell(world, "r4").decision
    assert (held.status, held.reasons) == ("held", ["no_candidate"])
    assert held.excluded == NONE_LIVE | {"cf-north": ["apr_above_cap"]}
    rejected = world.wake(moment("2026-11-02T06:00:00.000Z"), "cust-0003").decision
    assert (rejected.decision_id, rejected.status, rejected.reasons) == ("dd-4:1", "rejected", ["expired"])
    assert rejected.excluded == held.excluded
    assert rejected.decided_at == rejected.expires_at == "2026-11-01T06:15:05.000Z"


def test_the_whole_story_is_told() -> None:
    """Every line of the file is played above."""
    played = ["g1", "g2", "g3", "r1", "r1", "r2", "r3", "g4", "g5", "r4"]
    assert [line["value"]["event_id"] for line in LINES] == played
