"""Law: a funder that is expected to capture too many borrowers of a grade gets none of them, but for what is explored.

The borrower holds a grant everywhere, and no other rotation rule is on.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from rotation.clock import MINUTE
from tests.rotation.world import ALWAYS_OPEN, FUNDERS, NO_ROTATION, T0, World, funder_state, grant, request

RISKY, *OTHERS = FUNDERS


def world(state: str = "normal", risk: float = 0.02, **rule: Any) -> World:
    """One funder in this state, with this risk in grade A."""
    states = {RISKY: replace(funder_state(RISKY, state, 0.5), capture_risk={"A": risk, "B": 0.0})}
    edits: dict[str, Any] = {"funders.*.regions": "all", "funders.*.grades": ["A", "B"]}
    edits["rotation.capture_risk"] = {"at_most": 0.01} | rule
    made = World(NO_ROTATION | ALWAYS_OPEN | edits, states=states)
    made.grant_all()
    return made


def passed(of: World, drawdowns: int = 200) -> list[bool]:
    """Of so many drawdowns, each of another borrower, in which the risky funder was not dropped."""
    told = []
    for number in range(drawdowns):
        customer_id, at = f"customer-{number}", T0 + number * MINUTE
        for funder_id in FUNDERS:
            of.handle(grant(funder_id, at, customer_id=customer_id))
        decision = of.route(request(f"dd-{number}", at, customer_id=customer_id, amount=50_000))
        told.append("capture_risk" not in decision.excluded.get(RISKY, []))
    return told


@pytest.mark.parametrize(("risk", "grade", "dropped"), [(0.011, "A", True), (0.01, "A", False), (0.5, "B", False)])
def test_only_a_risk_above_the_limit_in_the_borrower_s_grade_drops(risk: float, grade: str, dropped: bool) -> None:
    """A risk of just the limit does not."""
    decision = world(risk=risk).route(request("dd", risk_grade=grade))
    assert decision.excluded == ({RISKY: ["capture_risk"]} if dropped else {})


@pytest.mark.parametrize("state", ["normal", "watch"])
def test_a_suspected_funder_passes_for_the_explored_share(state: str) -> None:
    """The same drawdowns each time; more of them when more is explored, and those of before among them."""
    quarter, again, most = (passed(world(state, explored=share)) for share in (0.25, 0.25, 0.7))
    assert 30 <= sum(quarter) <= 70
    assert quarter == again
    assert sum(most) > 120
    assert all(more for one, more in zip(quarter, most, strict=True) if one)


@pytest.mark.parametrize("state", ["throttled", "probing"])
def test_a_funder_that_is_held_to_capture_is_not_explored(state: str) -> None:
    """It is known."""
    assert not any(passed(world(state, explored=0.7), 50))


def test_nothing_is_explored_unless_it_is_asked_for() -> None:
    """The rule by itself lets nobody pass."""
    assert not any(passed(world(), 50))
