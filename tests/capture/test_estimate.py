"""Law: what a funder is believed to capture grows with the evidence, and comes near the truth, or near nothing.

Times and chances are played by `tests.capture.market`, from seeds.
"""

from copy import deepcopy
from math import exp
from statistics import fmean

import pytest

from capture import canaries
from capture.estimate import Belief, sure, weigh
from capture.record import FunderRecord
from config.rotation import CaptureCombined
from rotation.clock import DAY
from tests.capture.market import FUNDER, GRADES, RULES, Behaviour, Town
from tests.rotation.world import T0


def belief(seed: int, suspect: Behaviour, days: int) -> Belief:
    """What is believed of the suspect after so many days."""
    town = Town(seed, suspect)
    for _ in range(days):
        town.pass_day()
    return weigh(town.records[FUNDER.id], town.compared(), FUNDER, RULES, town.now)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "suspect",
    [Behaviour(), Behaviour(refuses=0.35), Behaviour(more_refused=0.15, from_day=40), Behaviour(alone=1, from_day=40)],
)
def test_an_honest_funder_is_believed_to_be_honest(seed: int, suspect: Behaviour) -> None:
    """Also one that refuses more than others, or than before, or whose refused nobody else can serve any more.

    Far from accused, and of a risk below 1%.
    """
    believed = belief(seed, suspect, 75)
    assert believed.log_ratio < 1
    assert max(believed.risk.values()) < 0.01


def test_false_alarms_are_as_rare_as_was_asked() -> None:
    """Honest funders for 90 days, half of them with tighter credit since the 40th: one in nine may be held to capture.

    Half of the false alarms of `arl_days` are left to all evidence together, so one in 730 days.
    """
    limit, accused = sure(2 * RULES.pass_rate.arl_days, RULES.combined), 0
    for seed in range(24):
        town = Town(seed, Behaviour(more_refused=0.08 * (seed % 2), from_day=40))
        highest = 0.0
        while town.day < 90:
            for _ in range(3):
                town.pass_day()
            believed = weigh(town.records[FUNDER.id], town.compared(), FUNDER, RULES, town.now)
            highest = max(highest, believed.log_ratio)
        accused += highest >= limit
    assert accused <= 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("suspect", "share"), [(Behaviour(at_drawdown=0.08), 0.08), (Behaviour(offline=0.1), 0.08)])
def test_a_captor_is_believed_to_capture_about_what_it_captures(seed: int, suspect: Behaviour, share: float) -> None:
    """In each grade, of all whom it sees (of whom eight in ten get a loan); sure enough to act on."""
    believed = belief(seed, suspect, 75)
    assert believed.log_ratio > sure(2 * RULES.pass_rate.arl_days, RULES.combined)
    for grade in GRADES:
        assert share / 3 < believed.risk[grade] < 2.5 * share


def test_whoever_captures_one_grade_is_suspected_in_that_grade() -> None:
    """The others stay less suspect."""
    believed = belief(2, Behaviour(at_drawdown=0.15, grades=("B",)), 75)
    assert believed.risk["B"] > 0.05
    assert max(believed.risk["A"], believed.risk["C"]) < believed.risk["B"] / 3


def test_belief_grows_with_time() -> None:
    """The same funder, after 20, 40 and 75 days."""
    grown = [belief(4, Behaviour(at_drawdown=0.1), days).log_ratio for days in (20, 40, 75)]
    assert grown == sorted(grown)


def test_misses_that_rise_with_the_capture_speak_for_it() -> None:
    """On average, sooner than where others are spared for them, so that no more are turned down than before."""
    captor = Behaviour(at_drawdown=0.08, from_day=40)
    covered = captor._replace(more_refused=-captor.at_drawdown)
    rising, level = (fmean(belief(seed, each, 55).log_ratio for seed in range(6)) for each in (captor, covered))
    assert rising > level + 0.5


def test_called_canaries_and_reports_speak_against_a_funder() -> None:
    """And canaries that nobody calls for it."""

    town = Town(6, Behaviour())
    for _ in range(20):
        town.pass_day()

    def of_canaries(called: int) -> float:
        record = deepcopy(town.records[FUNDER.id])
        for number in range(10):
            canaries.saw(record, f"staff-{number}", T0)
        for number in range(called):
            canaries.called(record, f"staff-{number}", T0 + DAY)
        return weigh(record, town.compared(), FUNDER, RULES, town.now).risk["A"]

    assert of_canaries(0) < of_canaries(1) < of_canaries(3)
    quiet, loud = (belief(5, Behaviour(reports=reports), 45).risk["A"] for reports in (0.001, 0.03))
    assert loud > 3 * quiet


def test_without_any_evidence_nothing_is_believed() -> None:
    """A new funder has no risk, and its Bayes factor is 1."""
    believed = weigh(FunderRecord(), {}, FUNDER, RULES, T0)
    assert believed.log_ratio == 0
    assert set(believed.risk.values()) == {0.0}


def test_the_bar_for_being_sure_grows_with_the_run_length() -> None:
    """For short ones it is that capture is as likely as the configuration asks."""
    asked = CaptureCombined(captures=0.5, sure=0.9)
    assert exp(sure(1, asked)) == exp(sure(365, asked)) == pytest.approx(9)
    assert sure(1_000_000, asked) > sure(100_000, asked) > sure(1, asked)
