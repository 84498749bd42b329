"""Law: canaries accuse a funder by an exact test; falsely with a chance of `alpha`, however often one looks."""

import math
from fractions import Fraction
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import canaries
from capture.record import FunderRecord


@pytest.mark.parametrize(
    ("called", "seen", "rate", "expected"),
    [
        (0, 5, 0.01, 1.0),
        (1, 1, 0.01, 0.01),
        (1, 10, 0.01, 1 - 0.99**10),
        (2, 2, 0.01, 0.0001),
        (2, 3, 0.5, 0.5),
        (3, 3, 0.5, 0.125),
    ],
)
def test_the_chance_of_so_many_calls(called: int, seen: int, rate: float, expected: float) -> None:
    """The upper tail of the binomial, worked out by hand."""
    assert canaries.p_value(called, seen, rate) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 200), st.floats(0.001, 0.9), st.data())
def test_the_chance_is_exact(seen: int, rate: float, data: st.DataObject) -> None:
    """As worked out in fractions, for any few canaries."""
    called, share = data.draw(st.integers(0, seen)), Fraction(rate)
    exact = sum(math.comb(seen, k) * share**k * (1 - share) ** (seen - k) for k in range(called, seen + 1))
    assert canaries.p_value(called, seen, rate) == pytest.approx(float(exact), rel=1e-11)


@pytest.mark.parametrize("seen", [1_029, 1_030, 10_000, 100_000])
def test_any_number_of_canaries_can_be_tested(seen: int) -> None:
    """Where the number of choices exceeds a float too: the median is the mean, and both ends are as known."""
    expected = seen // 10
    assert canaries.p_value(expected, seen, expected / seen) >= 0.5
    assert canaries.p_value(expected + 1, seen, expected / seen) <= 0.5
    assert canaries.p_value(0, seen, 0.01) == pytest.approx(1.0)
    assert canaries.p_value(1, seen, 1e-5) == pytest.approx(-math.expm1(seen * math.log1p(-1e-5)))
    assert canaries.p_value(seen, seen, 0.999) == pytest.approx(0.999**seen)


@given(st.integers(0, 60), st.floats(0.001, 0.9))
def test_the_tail_falls_with_each_call(seen: int, rate: float) -> None:
    """From 1, for none or more, down to all of them called."""
    tails = [canaries.p_value(called, seen, rate) for called in range(seen + 1)]
    assert tails[0] == pytest.approx(1.0)
    assert all(more <= fewer for fewer, more in pairwise(tails))
    assert tails[-1] == pytest.approx(rate**seen)


def test_all_looks_together_spend_alpha() -> None:
    """The levels of the first, second, third … call sum to alpha."""
    spent = 0.0
    for called in count(1):
        spent += canaries.level(called, 0.01)
        if called == 100_000:
            break
    assert spent <= 0.01
    assert spent == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize(
    ("story", "tells"),
    [
        ([("saw", 5)], False),
        ([("called", 5)], False),
        ([("saw", 5), ("called", 6)], True),
        ([("called", 6), ("saw", 5)], True),
        ([("called", 4), ("saw", 5)], False),
        ([("called", 4), ("saw", 5), ("called", 6)], True),
        ([("saw", 5), ("called", 6), ("saw", 7), ("called", 4)], True),
    ],
)
def test_a_call_tells_when_the_funder_had_seen_them_before(story: list[tuple[str, int]], tells: bool) -> None:
    """In whichever order it is told; a call from before the funder knew them is somebody else's doing."""
    record = FunderRecord()
    for what, at in story:
        {"saw": canaries.saw, "called": canaries.called}[what](record, "staff-1", at)
    assert record.canaries["staff-1"].tells == tells


@given(st.integers(1, 40), st.floats(0.001, 0.3), st.floats(0.001, 0.2))
def test_false_accusations_stay_below_alpha(seen: int, rate: float, alpha: float) -> None:
    """Whatever the number of canaries: the chance that chance alone accuses is at most alpha."""
    accused = [
        called for called in range(1, seen + 1) if canaries.p_value(called, seen, rate) <= canaries.level(called, alpha)
    ]
    chance = sum(math.comb(seen, called) * rate**called * (1 - rate) ** (seen - called) for called in accused)
    assert chance <= alpha
