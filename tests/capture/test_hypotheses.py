"""Law: all hypotheses together are never believed more than the best of them; a grade is told what it loses.

Ratios are of two ways and three beginnings, by grade, the best first.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.hypotheses import CHANGES, WAYS, Floats, weigh_all

TAKES = np.array([[0.02, 0.1]] * 3)
ratios = st.lists(st.floats(-30, 30), min_size=18, max_size=18).map(lambda each: np.array(each).reshape(3, 2, 3))


def only_in(*places: int) -> Floats:
    """All speaks for the second way since the middle beginning, in these grades; the others speak against it."""
    told = np.full((3, 2, 3), -5.0)
    for place in places:
        told[place, 1, 1] = 20.0
    return told


@given(ratios)
def test_the_whole_is_not_believed_more_than_its_best_part(told: Floats) -> None:
    """Nor is more taken of a grade than by the way that takes most."""
    believed, shares = weigh_all(told, TAKES)
    assert believed <= np.maximum(told, 0).sum(axis=0).max() + 1e-9
    assert (shares >= 0).all()
    assert (shares <= TAKES.max() + 1e-9).all()


@given(ratios, st.integers(0, 2), st.floats(0, 10))
def test_more_evidence_in_a_grade_is_more_belief(told: Floats, place: int, more: float) -> None:
    """Whatever the other grades say."""
    stronger = told.copy()
    stronger[place] += more
    assert weigh_all(stronger, TAKES)[0] >= weigh_all(told, TAKES)[0] - 1e-9


def test_nothing_told_changes_nothing() -> None:
    """The Bayes factor is 1."""
    assert weigh_all(np.zeros((3, 2, 3)), TAKES)[0] == pytest.approx(0)


@pytest.mark.parametrize("places", [(0,), (0, 1), (1,), (2,), (0, 2), (0, 1, 2)])
def test_what_is_taken_is_told_of_the_grades_that_lose_it(places: tuple[int, ...]) -> None:
    """By the way that explains it; of the other grades, next to nothing."""
    believed, shares = weigh_all(only_in(*places), TAKES)
    assert believed > 10 * len(places)
    for place in range(3):
        assert shares[place] == pytest.approx(0.1 if place in places else 0, abs=0.01)


def test_the_best_grades_are_suspected_first() -> None:
    """The same evidence says more of the two best grades than of the best and the worst."""
    assert weigh_all(only_in(0, 1), TAKES)[0] > weigh_all(only_in(0, 2), TAKES)[0] + 1


def test_each_way_appears_as_something() -> None:
    """All of it, as one departure or another; and an honest change is never a loan."""
    for way in (*WAYS, *CHANGES):
        assert sum(way.appears.values()) == pytest.approx(1)
    assert not any("loan" in way.appears for way in CHANGES)
