"""Law: a life table counts each departure for as long as it has been watched, no longer, and each return once."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.cohorts import (
    KEPT,
    PERIOD,
    Cohorts,
    LifeTable,
    come_back,
    depart,
    forget,
    life_table,
    pooled,
    staying_away,
)

BEGIN = 1000 * PERIOD
WINDOW = 5
#: A departure: its period, and after how many periods the borrower came back, None for never.
LIVES = st.lists(st.tuples(st.integers(0, 8), st.none() | st.integers(0, 8)), max_size=60)


def cohorts(lives: list[tuple[int, int | None]], now: int) -> Cohorts:
    """What is known at the start of period `now` of lives that began in periods from 0 on."""
    known: Cohorts = {}
    for began, after in lives:
        if began < now:
            depart(known, BEGIN + began * PERIOD + 7)
            if after is not None and began + after < now:
                come_back(known, BEGIN + began * PERIOD + 7, BEGIN + (began + after) * PERIOD + 9)
    return known


@given(LIVES, st.integers(0, 12))
def test_the_table_is_that_of_the_lives(lives: list[tuple[int, int | None]], now: int) -> None:
    """Counted one by one: away when the n-th period began, back in it; only where that period is over."""
    table = life_table(cohorts(lives, now), WINDOW, BEGIN + now * PERIOD)
    for n in range(WINDOW):
        watched = [after for began, after in lives if began + n < now]
        away = [after for after in watched if after is None or after >= n]
        assert table.away[n] == len(away)
        assert table.back[n] == sum(after == n for after in away)


@given(LIVES)
def test_the_share_still_away_falls_and_begins_at_one(lives: list[tuple[int, int | None]]) -> None:
    """Whatever the lives; an error on either side moves it to that side."""
    table = life_table(cohorts(lives, 20), WINDOW, BEGIN + 20 * PERIOD)
    best = staying_away(table, 0.0)
    assert best[0] == 1.0
    assert all(0.0 <= later <= sooner for sooner, later in itertools.pairwise(best))
    for low, usual, high in zip(staying_away(table, -1.0), best, staying_away(table, 1.0), strict=True):
        assert low <= usual <= high


def test_the_share_still_away_is_the_product_of_what_stayed() -> None:
    """Worked out by hand, with cohorts of different age."""
    table = LifeTable([100, 60, 20], [20, 15, 0])
    assert staying_away(table, 0.0) == pytest.approx([1.0, 0.8, 0.6, 0.6])


def test_tables_are_pooled_by_adding_them() -> None:
    """A table of a shorter window counts as far as it goes."""
    assert pooled([LifeTable([5, 4], [1, 2]), LifeTable([7], [3])], 2) == LifeTable([12, 4], [4, 2])


def test_what_is_too_old_is_forgotten() -> None:
    """And a return to it changes nothing."""
    known: Cohorts = {}
    depart(known, BEGIN)
    depart(known, BEGIN + PERIOD)
    forget(known, BEGIN + KEPT * PERIOD)
    assert list(known) == [BEGIN // PERIOD + 1]
    come_back(known, BEGIN, BEGIN + KEPT * PERIOD)
    assert list(known) == [BEGIN // PERIOD + 1]
