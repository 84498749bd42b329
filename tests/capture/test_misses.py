"""Law: what a funder turned down before is held against nobody; what it turns down more of is, by when it began.

Cohorts are of 40 answers each, the newest first.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.hypotheses import CHANGES, WAYS, Floats
from capture.misses import missed_log_ratio

ANSWERED = np.full(20, 40.0)
REFUSAL = [place for place, way in enumerate(CHANGES) if way.appears["refusal"] == 1]


def change(missed: Floats) -> Floats:
    """By beginning, how much more likely the misses are where the refusals rose by some share since then."""
    return missed_log_ratio(missed, ANSWERED, "refusal", CHANGES)[REFUSAL]


@given(st.floats(0.02, 0.6))
def test_a_funder_that_goes_on_as_before_is_not_suspected(misses: float) -> None:
    """However much it turns down."""
    assert change(ANSWERED * misses).max() < 0.5


@pytest.mark.parametrize("began", [3, 8, 14])
@pytest.mark.parametrize("more", [0.08, 0.2])
def test_the_beginning_and_the_size_of_a_rise_are_found(began: int, more: float) -> None:
    """To the cohort, where a quarter was turned down before, and then so many more of the rest."""
    missed = ANSWERED * 0.25
    missed[:began] += ANSWERED[:began] * 0.75 * more
    found = change(missed)
    assert found.max() > 0.5
    size, place = np.unravel_index(found.argmax(), found.shape)
    assert CHANGES[REFUSAL[size]].share == more
    assert abs(int(place) - (began - 1)) <= 1


def test_a_fall_speaks_against_any_change() -> None:
    """And the more, the larger the change would be."""
    missed = ANSWERED * 0.25
    missed[:5] = ANSWERED[:5] * 0.15
    since_then = change(missed)[:, 4]
    assert (np.diff(since_then) < 0).all()
    assert since_then.max() < 0


def test_capture_after_a_loan_says_nothing_of_misses() -> None:
    """Whatever they are."""
    missed = ANSWERED * np.linspace(0.5, 0.1, 20)
    told = missed_log_ratio(missed, ANSWERED, "walk_away", WAYS)
    of_loans = ["loan" in way.appears for way in WAYS]
    assert not told[of_loans].any()
    assert told[np.logical_not(of_loans)].all()
