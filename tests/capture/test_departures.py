"""Law: a funder like the others is left alone for as long as was asked; one that wins borrowers is found by its trace.

Times and chances are played by `tests.capture.market`, from seeds.
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.departures import Statistic, lost_log_ratio, lost_share, statistics, threshold
from tests.capture.market import FUNDER, RULES, Behaviour, Town

ARL_DAYS = 60
STATISTICS = 21


def read(town: Town) -> dict[str, Statistic]:
    """All statistics of the suspect now, by detector and segment."""
    found = statistics(town.records[FUNDER.id], town.compared(), FUNDER, RULES, town.now)
    return {f"{each.detector} {each.segment}": each for each in found}


def first_alarm(seed: int, suspect: Behaviour, days: int) -> tuple[int, set[str]] | None:
    """On which day which statistics first alarm, of those that share one false alarm in `ARL_DAYS`."""
    town = Town(seed, suspect)
    for day in range(days):
        town.pass_day()
        if day % 3 == 2:
            over = {name for name, each in read(town).items() if each.value >= threshold(STATISTICS * ARL_DAYS)}
            if over:
                return day, over
    return None


def test_a_funder_like_the_others_is_left_alone() -> None:
    """20 funders for the asked run length: one alarm a run length would let 7 of them through unharmed."""
    alarmed = [seed for seed in range(20) if first_alarm(seed, Behaviour(), ARL_DAYS) is not None]
    assert len(alarmed) <= 13


def test_a_funder_that_refuses_more_is_left_alone() -> None:
    """Tighter credit is no capture: whom it refuses is served elsewhere and comes back."""
    alarmed = [seed for seed in range(8) if first_alarm(100 + seed, Behaviour(refuses=0.35), ARL_DAYS) is not None]
    assert len(alarmed) <= 4


@pytest.mark.parametrize(
    ("suspect", "detector"),
    [
        (Behaviour(at_drawdown=0.1), "non_return"),
        (Behaviour(offline=0.15), "early_settlement"),
        (Behaviour(reports=0.02), "borrower_report"),
    ],
)
def test_each_way_to_win_borrowers_is_found_by_its_own_trace(suspect: Behaviour, detector: str) -> None:
    """Of 5 such funders at least 4 within 75 days, by the detector that is made for it."""
    found = [first_alarm(seed, suspect, 75) for seed in range(5)]
    assert sum(each is not None and any(name.startswith(detector) for name in each[1]) for each in found) >= 4


def test_evidence_counts_what_is_observed_and_what_was_to_be_expected() -> None:
    """Among those who departed since the change, which the evidence dates."""
    town = Town(3, Behaviour(at_drawdown=0.3, from_day=30))
    for _ in range(60):
        town.pass_day()
    worst = read(town)["non_return all after walking away"]
    assert worst.observed > 1.5 * worst.expected
    assert worst.expected < worst.observed <= worst.events
    assert town.now - worst.since <= 36 * 86_400_000


def test_with_nobody_to_compare_with_there_is_no_judgement() -> None:
    """Few events elsewhere, or none: silence, however bad it looks."""
    town = Town(1, Behaviour(at_drawdown=0.9))
    town.pass_day()
    assert read(town) == {}


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.05, 0.95), st.floats(0.02, 0.5))
def test_a_ratio_is_the_likelihoods_own(away: int, back: int, usual: float, lost: float) -> None:
    """Of so many away and back: the binomial under `lost`, over the one under nothing; the better for either truth."""
    stays = lost + (1 - lost) * usual
    direct = away * math.log(stays / usual) + back * math.log((1 - stays) / (1 - usual))
    assert lost_log_ratio(away, away + back, usual, lost) == pytest.approx(direct, abs=1e-9)
    many = 10_000
    assert lost_log_ratio(round(many * stays), many, usual, lost) > 0
    assert lost_log_ratio(round(many * usual), many, usual, lost) < 0


@given(st.floats(0.01, 0.9), st.floats(1.05, 3.0))
def test_the_share_looked_for_makes_so_many_more_stay_away(usual: float, hazard_ratio: float) -> None:
    """Within the bounds of what is looked for at all."""
    lost = lost_share(usual, hazard_ratio)
    assert 0.02 <= lost <= 0.5
    if 0.02 < lost < 0.5:
        assert lost + (1 - lost) * usual == pytest.approx(hazard_ratio * usual)
