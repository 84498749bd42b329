"""A ramp is stopped when its borrowers fare worse than the others by more than chance explains, and only then."""

import pytest

from rotation.outputs import Decision
from whatif.guardrail import Guardrail

BEGIN = "2026-11-24T01:30:00.000Z"


def decision(n: int, revision: int, *, held: bool = False, relaxed: bool = False, at: str = BEGIN) -> Decision:
    """A first decision."""
    return Decision(
        decision_id=f"dd-{revision}-{n}:1" + (":held" if held else ""),
        drawdown_id=f"dd-{revision}-{n}",
        customer_id="c",
        attempt=1,
        status="held" if held else "routed",
        funder_id=None if held else "cf-west",
        decided_at=at,
        expires_at=at,
        reasons=[],
        relaxed=["cooldown"] if relaxed else [],
        candidates=[],
        excluded={},
        config_revision=revision,
        config_sha256="",
        funder_states_version=-1,
    )


def watched(new: int, new_held: int, old: int, old_held: int, *, at: str = BEGIN) -> str | None:
    """What is said of so many decisions, of which so many held."""
    guardrail = Guardrail(1, 2, BEGIN, 100)
    for n in range(new):
        guardrail.take(decision(n, 2, held=n < new_held, at=at))
    for n in range(old):
        guardrail.take(decision(n, 1, held=n < old_held, at=at))
    return guardrail.objection()


@pytest.mark.parametrize(
    ("new", "new_held", "old", "old_held"),
    [
        (99, 99, 9_000, 0),  # too few to tell
        (200, 4, 3_000, 60),  # alike
        (200, 12, 3_000, 90),  # may be chance
        (50_000, 1_900, 50_000, 1_000),  # certain, and too little to matter
        (200, 0, 3_000, 1_500),  # better
        (200, 200, 3_000, 3_000),
    ],
)
def test_a_ramp_goes_on(new: int, new_held: int, old: int, old_held: int) -> None:
    """While its borrowers are served as the others, or too few to tell."""
    assert watched(new, new_held, old, old_held) is None


def test_a_ramp_is_stopped_with_the_numbers() -> None:
    """More unserved drawdowns, or more rules given up, than chance explains."""
    assert watched(200, 40, 3_000, 90) == (
        "unserved: 20.0% of 200 first decisions under revision 2, 3.0% of 3000 under revision 1: 11.8 standard errors"
    )
    guardrail = Guardrail(1, 2, BEGIN, 100)
    for n in range(200):
        guardrail.take(decision(n, 2, relaxed=n < 60))
        guardrail.take(decision(n, 1, relaxed=n < 2))
    assert (guardrail.objection() or "").startswith("rules given up: 30.0% of 200")


def test_what_is_older_or_said_again_does_not_count() -> None:
    """Nor is a drawdown counted twice."""
    assert watched(200, 40, 3_000, 90, at="2026-11-24T01:29:59.999Z") is None
    guardrail = Guardrail(1, 2, BEGIN, 100)
    for n in range(99):
        for _ in range(3):
            guardrail.take(decision(n, 2, held=True))
            guardrail.take(decision(n, 1))
    assert guardrail.objection() is None
