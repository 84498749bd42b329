"""The probability that two draws agree, as worked out, is how often the core's own draws agree.

Invariants: it is symmetric, at most either funder's own part, sums to 1 over funders when both draws are the same; a
draft that draws like the record moves nothing.
"""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rotation.choice import rank
from whatif.overlap import both, moved_weight, parts

weights = st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 10), min_size=1)
seeds = st.booleans()


@given(weights, weights, st.sampled_from("abcde"), seeds)
def test_symmetric_and_within_both_parts(one: dict[str, float], other: dict[str, float], f: str, same: bool) -> None:
    """Nobody is first in both more often than in each."""
    found = both(f, one, other, same_seed=same)

    assert found == pytest.approx(both(f, other, one, same_seed=same))
    assert 0 <= found <= min(parts(one).get(f, 0), parts(other).get(f, 0)) + 1e-12


@given(weights, st.floats(0.1, 10))
def test_the_same_draw_always_agrees(one: dict[str, float], scale: float) -> None:
    """Whatever the weights are multiplied with; and nothing moves."""
    scaled = {f: weight * scale for f, weight in one.items()}

    assert sum(both(f, one, scaled, same_seed=True) for f in one) == pytest.approx(1)
    assert all(moved_weight(f, one, scaled, same_seed=True) == 0 for f in one)


@given(weights, weights, seeds)
def test_the_weights_count_what_moves(one: dict[str, float], other: dict[str, float], same: bool) -> None:
    """Over the record's choices they come to the chance of a move to a funder that the record could choose."""
    expected = sum(part * moved_weight(f, one, other, same_seed=same) for f, part in parts(one).items())
    moves = sum(parts(other).get(f, 0) - both(f, one, other, same_seed=same) for f in one)

    assert expected == pytest.approx(moves, abs=1e-6)


@given(weights)
def test_who_is_in_one_draw_only_is_never_first_in_both(one: dict[str, float]) -> None:
    """Nor is a funder whose weight is zero beside others."""
    assume("a" in one and len(one) > 1)
    without = {f: weight for f, weight in one.items() if f != "a"}

    assert both("a", one, without, same_seed=True) == both("a", one, without | {"a": 0.0}, same_seed=True) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 3, "b": 2, "c": 2, "d": 1}, {"a": 1, "b": 2, "c": 2, "d": 3}),
        ({"a": 3, "b": 2, "c": 1}, {"b": 2, "c": 1, "e": 4}),
        ({"a": 1, "b": 1}, {"a": 5, "b": 1}),
    ],
)
@pytest.mark.parametrize("seed", ["s", "t"])
def test_the_cores_draws_agree_as_often(one: dict[str, float], other: dict[str, float], seed: str) -> None:
    """8,000 drawdowns, drawn by both; within four standard errors."""
    number = 8_000
    agreed = dict.fromkeys("abcde", 0)
    for n in range(number):
        first = rank(one, one, "s", f"dd-{n}", 1)[0][0]
        agreed[first] += first == rank(other, other, seed, f"dd-{n}", 1)[0][0]
    for f, count in agreed.items():
        expected = both(f, one, other, same_seed=seed == "s")
        assert abs(count / number - expected) <= 4 * math.sqrt(expected * (1 - expected) / number)


def test_draws_without_any_weight() -> None:
    """The first in order is first: so is it in both, or in none."""
    assert parts({"a": 0.0, "b": 0.0}) == {"a": 1, "b": 0}
    assert both("a", {"a": 0.0, "b": 0.0}, {"a": 1.0}, same_seed=True) == 1
