"""Invariant: one drawdown id, one content, one decision per attempt: a repeat gets the latest one again, byte for byte.

The content is every field but `event_id` and `occurred_at`. Another content under a known id is refused; the first
stands. Neither reserves, tries or changes anything.
"""

from copy import deepcopy
from typing import Any

import pytest
from msgspec.structs import replace

from rotation.clock import DAY, MINUTE
from rotation.events import BorrowerEvent, DrawdownRequest
from rotation.reservations import Reserve
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, T0, World, grant, outcome, request, time

OPEN = NO_ROTATION | ALWAYS_OPEN | {"attempts.max": 2}
LATER = T0 + MINUTE
LONG = T0 + 5 * DAY
FULL = request("dd-1", expires=LONG, exclude_funders=["bank-east", "nobody"], canary=True)
DIFFERENT: list[dict[str, Any]] = [
    {"amount": 600_001},
    {"term_months": 6},
    {"region": "320000"},
    {"risk_grade": "B"},
    {"age": 35},
    {"expires_at": time(LONG + 1)},
    {"expires_at": None},
    {"exclude_funders": ["bank-east"]},
    {"exclude_funders": ["nobody", "bank-east"]},
    {"exclude_funders": []},
    {"exclude_funders": None},
    {"canary": False},
    {"canary": None},
]


def again(event: DrawdownRequest, at: int = LATER) -> DrawdownRequest:
    """The same request from its publisher: a new event with a new time."""
    return replace(event, event_id="again", occurred_at=time(at))


def test_a_repeat_gets_the_decision_again_byte_for_byte() -> None:
    """Under a new event id and time, though the configuration has changed: no reservation, no change."""
    world = World(OPEN)
    world.grant_all()
    first = world.handle(request("dd-1"))
    assert first.decision.status == "routed"
    world.configure(OPEN | {"funders.*.status": "paused"}, LATER)
    before = deepcopy(world.borrower())
    repeat = world.handle(again(request("dd-1")))
    assert (repeat.values, repeat.operations, repeat.refusal) == (first.values, [], None)
    assert [(said.status, said.now) for said in repeat.said] == [(None, LATER)]
    assert world.borrower() == before


def test_a_repeat_gets_the_latest_decision() -> None:
    """Held, routed, declined and routed again, rejected: always what was said last."""
    world = World(OPEN)
    asked = request("dd-1", expires=LONG)
    said = [
        world.handle(asked),
        world.handle(grant("cf-west", T0 + 1)),
        world.handle(outcome("dd-1", "cf-west", "declined", T0 + 2)),
        world.wake(LONG),
    ]
    assert [each.decision.decision_id for each in said] == ["dd-1:1:held", "dd-1:1", "dd-1:2:held", "dd-1:2"]
    world = World(OPEN)
    events: list[BorrowerEvent] = [asked, grant("cf-west", T0 + 1), outcome("dd-1", "cf-west", "declined", T0 + 2)]
    for event, expected in zip(events, said, strict=False):
        assert world.handle(event).values == expected.values
        assert world.handle(again(asked, T0 + 3)).values == expected.values
    assert world.handle(again(asked, LONG)).values == said[3].values * 2
    assert world.handle(again(asked, LONG + DAY)).values == said[3].values


def test_the_default_expiry_is_no_part_of_the_content() -> None:
    """A repeat occurs at another time, so its default would be another: it is the same content all the same."""
    world = World(OPEN)
    first = world.handle(request("dd-1", T0))
    assert world.handle(request("dd-1", LATER)).values == first.values


def test_a_repeat_of_a_request_that_came_expired_is_rejected_in_the_same_bytes() -> None:
    """Also when the repeat occurred later and would not be expired."""
    world = World(OPEN)
    first = world.handle(request("dd-1", T0), T0 + DAY)
    assert first.decision.reasons == ["request_expired"]
    assert world.handle(request("dd-1", T0 + DAY)).values == first.values


@pytest.mark.parametrize("changes", DIFFERENT, ids=str)
def test_another_content_under_a_known_id_is_refused(changes: dict[str, Any]) -> None:
    """`conflicting_duplicate` whichever field differs; the first stands, and is still given to its repeats."""
    world = World(OPEN)
    world.grant_all()
    first = world.handle(FULL)
    before = deepcopy(world.borrower())
    heard = world.handle(replace(FULL, **changes), LATER)
    assert heard.refusal is not None
    assert heard.refusal.reason == "conflicting_duplicate"
    assert (heard.said, heard.operations, heard.applications, world.borrower()) == ([], [], [], before)
    assert world.handle(again(FULL)).values == first.values


def test_a_held_drawdown_is_not_looked_at_for_a_repeat() -> None:
    """Room that came free meanwhile is not asked for: a repeat is no event that may help."""
    world = World(OPEN | {"funders.*.quota": {"daily_amount": 90_000_000, "daily_count": 1}, "attempts.max": 1})
    world.handle(grant("cf-west", customer_id="other"))
    world.route(request("theirs", customer_id="other"))
    world.handle(grant("cf-west"))
    held = world.handle(request("dd-1"))
    world.handle(outcome("theirs", "cf-west", "declined", customer_id="other"))
    repeat = world.handle(again(request("dd-1")))
    assert (repeat.values, repeat.operations) == (held.values, [])


def test_other_drawdowns_are_decided_on_their_own() -> None:
    """Two ids with the same content are two drawdowns, and two reservations."""
    world = World(OPEN)
    world.handle(grant("cf-west"))
    heard = [world.handle(request(drawdown_id)) for drawdown_id in ("dd-1", "dd-2")]
    assert [each.decision.decision_id for each in heard] == ["dd-1:1", "dd-2:1"]
    reserved = [operation for each in heard for operation in each.operations]
    assert [each.id for each in reserved if isinstance(each, Reserve)] == ["cust-1/dd-1:1", "cust-1/dd-2:1"]


@pytest.mark.parametrize("status", ["declined", "disbursed", None])
def test_a_decision_is_remembered_for_30_days(status: str | None) -> None:
    """30 days after it was made, with events on every day of them, a repeat still gets it again."""
    world = World(OPEN | {"attempts.max": 1})
    world.grant_all()
    first = world.handle(request("dd-1"))
    if status is not None:
        world.handle(outcome("dd-1", first.decision.funder_id or "", status))
    for day in range(1, 31):
        world.handle(request(f"dd-{day + 1}", T0 + day * DAY))
    repeat = world.handle(again(request("dd-1"), T0 + 30 * DAY))
    assert (repeat.values, repeat.operations) == (first.values, [])


def test_a_rejection_is_remembered_from_when_it_was_made() -> None:
    """Held for five days, rejected, and asked again 30 days after that."""
    world = World(OPEN)
    world.handle(request("dd-1", expires=LONG))
    rejected = world.wake(LONG)
    world.handle(grant("cf-west", LONG + 29 * DAY))
    assert world.handle(again(request("dd-1", expires=LONG), LONG + 30 * DAY)).values == rejected.values
