"""A ramp is stopped when its borrowers fare worse than the others by more than chance explains, and only then."""

from datetime import datetime

import msgspec
import pytest

from rotation.clock import HOUR, MINUTE, rfc3339
from rotation.events import DrawdownOutcome, millis
from rotation.outputs import Decision
from whatif.guardrail import Guardrail

BEGIN = "2026-11-24T01:30:00.000Z"
AT = millis(datetime.fromisoformat(BEGIN))


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
    guardrail = Guardrail(1, 2, BEGIN, 100, HOUR)
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
    guardrail = Guardrail(1, 2, BEGIN, 100, HOUR)
    for n in range(200):
        guardrail.take(decision(n, 2, relaxed=n < 60))
        guardrail.take(decision(n, 1, relaxed=n < 2))
    assert (guardrail.objection() or "").startswith("rules given up: 30.0% of 200")


def test_what_is_older_or_said_again_does_not_count() -> None:
    """Nor is a drawdown counted twice."""
    assert watched(200, 40, 3_000, 90, at="2026-11-24T01:29:59.999Z") is None
    guardrail = Guardrail(1, 2, BEGIN, 100, HOUR)
    for n in range(99):
        for _ in range(3):
            guardrail.take(decision(n, 2, held=True))
            guardrail.take(decision(n, 1))
    assert guardrail.objection() is None


def outcome(n: int, revision: int, status: str = "disbursed", funder_id: str = "cf-west") -> DrawdownOutcome:
    """An answer to a first decision."""
    return msgspec.convert(
        {
            "event_id": "o",
            "occurred_at": BEGIN,
            "drawdown_id": f"dd-{revision}-{n}",
            "customer_id": "c",
            "funder_id": funder_id,
            "attempt": 1,
            "status": status,
            "amount": 100,
        },
        DrawdownOutcome,
    )


def lending(new: int, new_lent: int, old: int, old_lent: int, *, now: int = AT + HOUR + MINUTE) -> Guardrail:
    """A guardrail that saw so many routed drawdowns at the beginning, of which so many are loans, and then `now` (ms).

    Every other loan is told before its decision is.
    """
    guardrail = Guardrail(1, 2, BEGIN, 100, HOUR)
    for revision, number, lent in ((2, new, new_lent), (1, old, old_lent)):
        for n in range(number):
            told = outcome(n, revision, "disbursed" if n < lent else "declined"), AT + MINUTE
            if n % 2:
                guardrail.take_outcome(*told)
            guardrail.take(decision(n, revision))
            if not n % 2:
                guardrail.take_outcome(*told)
    guardrail.take(decision(-1, 3, at=rfc3339(now)))
    guardrail.take_outcome(outcome(-1, 3), now)
    return guardrail


def test_a_ramp_that_brings_fewer_loans_is_stopped() -> None:
    """Fewer of those that were routed, when their time to become a loan is over."""
    assert lending(200, 120, 3_000, 2_700).objection() == (
        "no loan: 40.0% of 200 drawdowns routed more than 60 minutes ago under revision 2, 10.0% of 3000 under "
        "revision 1: 12.7 standard errors"
    )
    assert lending(200, 178, 3_000, 2_700).objection() is None
    assert lending(200, 200, 3_000, 2_700).objection() is None


def test_of_loans_nothing_is_said_too_early() -> None:
    """Not before that time is over, nor of fewer than are needed; and it says why."""
    for early in (lending(200, 0, 3_000, 2_700, now=AT + HOUR), lending(99, 0, 3_000, 2_700)):
        assert early.objection() is None
    assert lending(99, 0, 300, 270).silent() == {
        "unserved": "99 first decisions under revision 2 and 300 under revision 1, 100 of each are needed",
        "rules given up": "99 first decisions under revision 2 and 300 under revision 1, 100 of each are needed",
        "no loan": (
            "99 drawdowns routed more than 60 minutes ago under revision 2 and 300 under revision 1, "
            "100 of each are needed"
        ),
    }
    assert list(lending(200, 0, 300, 270, now=AT + HOUR).silent()) == ["no loan"]
    assert lending(200, 100, 300, 270).silent() == {}


def test_a_loan_counts_from_whoever_was_asked_and_in_time() -> None:
    """One of a later attempt's funder does; one of a funder that was never asked, or that came too late, does not."""

    def fewer(funder_id: str, at: int) -> bool:
        guardrail = Guardrail(1, 2, BEGIN, 100, HOUR)
        for n in range(200):
            for revision, lender, lent_at in ((1, "cf-west", AT + MINUTE), (2, funder_id, at)):
                guardrail.take(decision(n, revision))
                guardrail.take(msgspec.structs.replace(decision(n, revision), attempt=2, funder_id="cf-north"))
                guardrail.take_outcome(outcome(n, revision, funder_id=lender), lent_at)
        guardrail.take(decision(-1, 3, at=rfc3339(AT + 2 * HOUR)))
        guardrail.take_outcome(outcome(-1, 3), AT + 2 * HOUR)
        return guardrail.objection() is not None

    assert not fewer("cf-west", AT + HOUR)
    assert not fewer("cf-north", AT + HOUR)
    assert fewer("bank-east", AT + HOUR)
    assert fewer("cf-west", AT + HOUR + 1)
