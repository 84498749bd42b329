"""What the explorer says of another `never_last` is what the core decides under it, or nothing.

The core itself plays the borrower's past, and then the same request under each `n`.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from console.board import Event
from console.supposed import suppose
from rotation.clock import DAY
from rotation.events import BorrowerEvent
from rotation.outputs import Decision
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, T0, World, configuration, moment, outcome, request

ALL_N = range(5)
#: What became of the drawdowns before: loans, refusals, one without an answer whose reservation has ended.
PASTS = [
    ["disbursed"] * 4,
    ["disbursed", "declined", "disbursed", "cancelled"],
    ["failed", "disbursed", "timed_out"],
    ["", "disbursed"],
    [],
]


def rules(n: int) -> dict[str, Any]:
    """Nothing but `never_last`, given up when nobody is left."""
    alone = {"rotation.never_last": {"n": n} if n else None, "rotation.relax_order": ["never_last"] if n else []}
    return NO_ROTATION | ALWAYS_OPEN | {"attempts.max": 1} | alone


def played(statuses: list[str], n: int) -> tuple[World, list[Event]]:
    """A borrower with this past under `never_last: n`, and what the board knows of it."""
    world, events = World(rules(n)), []

    def happen(topic: str, event: BorrowerEvent) -> list[Decision]:
        decisions = world.handle(event).decisions
        events.append(Event(topic, moment_of(event), msgspec.to_builtins(event)))
        events.extend(
            Event("routing-decisions", moment(each.decided_at), msgspec.to_builtins(each)) for each in decisions
        )
        return decisions

    world.grant_all()
    for number, status in enumerate(statuses):
        at = T0 + (number + 1) * DAY
        (decision,) = happen("drawdown-requests", request(f"dd-{number}", at))
        if status:
            happen("drawdown-outcomes", outcome(f"dd-{number}", decision.funder_id or "", status, at + 1000))
    return world, events


def moment_of(event: BorrowerEvent) -> int:
    """Its time in ms."""
    return int(event.occurred_at.timestamp() * 1000)


@pytest.mark.parametrize("configured", [1, 2])
@pytest.mark.parametrize("past", PASTS, ids=lambda past: "+".join(past) or "none")
@pytest.mark.parametrize("drawdown_id", [f"dd-last-{number}" for number in range(6)])
def test_it_is_what_the_core_decides(drawdown_id: str, past: list[str], configured: int) -> None:
    """First where only others go; a funder that comes back is a candidate then; given up where nobody is left."""
    asked = request(drawdown_id, T0 + 30 * DAY)
    world, events = played(past, configured)
    decision = world.route(asked)
    for answer in suppose(decision, configuration(rules(configured)), events):
        other, _ = played(past, configured)
        other.configure(rules(answer.n), T0 + 30 * DAY - 1)
        decided = other.route(asked)
        assert answer.n in ALL_N
        assert (answer.first is None) == bool(decided.relaxed)
        assert {*answer.back} <= {each.funder_id for each in decided.candidates}
        if not decided.relaxed and not answer.back:
            assert decided.funder_id == answer.first


def test_it_tells_of_longer_and_shorter_memories() -> None:
    """After four loans under `never_last: 1`: all of 0, 2, 3 and 4."""
    world, events = played(PASTS[0], 1)
    decision = world.route(request("dd-last", T0 + 30 * DAY))

    answers = suppose(decision, configuration(rules(1)), events)

    assert [answer.n for answer in answers] == [0, 2, 3, 4]
    assert len(answers[0].back) == 1
    assert all(not answer.back for answer in answers[1:])


def without(events: list[Event], unwanted: Callable[[Event], bool]) -> list[Event]:
    """The events but some."""
    return [event for event in events if not unwanted(event)]


def test_it_tells_nothing_when_the_past_is_not_whole() -> None:
    """When what is known does not explain the decision, as when the board has forgotten the last loan."""
    world, events = played(PASTS[0], 1)
    decision = world.route(request("dd-last", T0 + 30 * DAY))

    forgotten = without(events, lambda event: event.says.get("drawdown_id") == "dd-3")

    assert suppose(decision, configuration(rules(1)), forgotten) == []
    assert suppose(decision, configuration(rules(1)), []) == []


def test_it_tells_nothing_of_what_it_cannot_know() -> None:
    """Of decisions with rules given up, of those without a funder, without the rule, and past the known ledger."""
    world, events = played(["disbursed"], 1)
    decision = world.route(request("dd-last", T0 + 30 * DAY))
    config = configuration(rules(1))

    assert [answer.n for answer in suppose(decision, config, events)] == [0]
    assert suppose(msgspec.structs.replace(decision, relaxed=["never_last"]), config, events) == []
    assert suppose(msgspec.structs.replace(decision, funder_id=None), config, events) == []
    assert suppose(decision, configuration(NO_ROTATION), events) == []
