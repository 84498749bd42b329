"""Law: within one batch of a partition the book hears what borrowers ask in the order of stream time.

So a batch comes to what its records come to one by one, however borrowers' records lie among each other.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.clock import DAY, MINUTE
from rotation.events import BorrowerEvent
from rotation.outputs import Decision
from rotation.plan import Plan
from rotation.waves import AT_ONCE, CALLS
from tests.replay.partition import OnePartition
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, SECOND, T0, grant, outcome, policy, request

#: Room for one drawdown a day.
ONE = {"funders.*.quota": {"daily_amount": 900_000_000, "daily_count": 1}}
MIDNIGHT = T0 + 10 * 60 * MINUTE


def partition() -> OnePartition:
    """A partition whose funders take one drawdown a day each."""
    return OnePartition(Plan(policy(NO_ROTATION | ALWAYS_OPEN | ONE)))


def granted(who: str, at: int) -> BorrowerEvent:
    """A line at the only funder that anybody has."""
    return grant("cf-west", T0 + at, customer_id=who)


def asked(who: str, at: int, *, expires: int = 30 * DAY) -> BorrowerEvent:
    """Their only drawdown."""
    return request(f"dd-{who}", T0 + at, expires=T0 + expires, customer_id=who)


def ended(who: str, at: int) -> BorrowerEvent:
    """The funder's room is free again."""
    return outcome(f"dd-{who}", "cf-west", "cancelled", T0 + at, customer_id=who)


CASES: dict[str, tuple[list[BorrowerEvent], list[str]]] = {
    "who asks first, though another was heard of first": (
        [granted("ann", 0), granted("bob", 1), asked("bob", 10), asked("ann", 20)],
        ["bob"],
    ),
    "at the same time who stands first in the batch": (
        [granted("ann", 0), granted("bob", 1), asked("bob", 10), asked("ann", 10)],
        ["bob"],
    ),
    "a release before the request that it makes room for": (
        [granted("bob", 0), asked("bob", 1), granted("ann", 2), ended("bob", 5), asked("ann", 60)],
        ["bob", "ann"],
    ),
    "a release after the request": (
        [granted("bob", 0), asked("bob", 1), granted("ann", 2), asked("ann", 5), ended("bob", 60)],
        ["bob"],
    ),
    "a grant that a drawdown waits for, after another request": (
        [asked("ann", 0), granted("bob", 1), asked("bob", 2), granted("ann", 3)],
        ["bob"],
    ),
    "a grant that a drawdown waits for, before another request": (
        [asked("ann", 0), granted("bob", 1), granted("ann", 2), asked("bob", 3)],
        ["ann"],
    ),
    "a new day's room for who is held, before who asks later on it": (
        [
            *(granted("bob", 0), asked("bob", 1), granted("ann", 2), asked("ann", 3), granted("cho", 4)),
            asked("cho", MIDNIGHT - T0 + 1),
        ],
        ["bob", "ann"],
    ),
}


def routed(decisions: Sequence[Decision]) -> list[str]:
    """Who was routed."""
    return [decision.customer_id for decision in decisions if decision.status == "routed"]


@pytest.mark.parametrize("case", CASES)
def test_scarce_room_goes_to_whom_stream_time_gives_it(case: str) -> None:
    """One batch; there is room for one at a time."""
    events, expected = CASES[case]
    assert sorted(routed(partition().batch(*events))) == sorted(expected)


def test_what_falls_due_comes_at_its_time() -> None:
    """Held since an earlier batch, a drawdown gets the new day's room before a request of that day."""
    one = partition()
    one.batch(granted("bob", 0), asked("bob", 1), granted("ann", 2), asked("ann", 3))
    late = MIDNIGHT - T0 + 1
    assert routed(one.batch(granted("cho", 4), asked("cho", late), granted("cho", late + 1))) == ["ann"]


def test_more_borrowers_than_run_side_by_side() -> None:
    """Whose grants were read after those of many others is served first if they ask first."""
    many = [f"c-{number}" for number in range(2 * AT_ONCE)]
    grants = [granted(who, number) for number, who in enumerate(many)]
    requests = [asked(who, 10 * SECOND + number) for number, who in enumerate(reversed(many))]
    assert routed(partition().batch(*grants, *requests)) == [many[-1]]


def test_who_waits_to_run_side_by_side_is_not_forgotten() -> None:
    """As many as run at once are held and ask once more, later than somebody else asks for the first time."""
    many = [f"c-{number}" for number in range(AT_ONCE)]
    events = [granted(who, 0) for who in (*many, "bob")]
    events += [asked(who, 1 + number) for number, who in enumerate(many)]
    events += [ended(many[0], SECOND), asked("bob", 2 * SECOND)]
    events += [request(f"again-{who}", T0 + 3 * SECOND, customer_id=who) for who in many[1:]]
    assert sorted(routed(partition().batch(*events))) == ["bob", many[0]]


moves = st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), min_size=2, max_size=CALLS)


@settings(max_examples=150, derandomize=True)
@given(moves)
def test_a_batch_comes_to_what_its_records_come_to(moves: list[tuple[str, bool]]) -> None:
    """The same decisions of each borrower, whether read at once or one by one: asking, walking away, being granted."""
    told: dict[str, int] = {}
    events = []
    for at, (who, early) in enumerate(moves):
        steps = (granted, asked, ended) if early else (asked, granted, ended)
        number = told[who] = told.get(who, -1) + 1
        if number < len(steps):
            events.append(steps[number](who, SECOND * at))
    one_by_one, at_once = partition(), partition()
    single = [decision for event in events for decision in one_by_one.batch(event)]
    assert sorted(at_once.batch(*events), key=_id) == sorted(single, key=_id)


def _id(decision: Decision) -> str:
    return decision.decision_id
