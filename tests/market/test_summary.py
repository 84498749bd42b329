"""A run's figures are those of what was read, and one thing gone wrong makes the run a bad one."""

import pytest

from cli.summary import Summary, in_words, summarise
from market.audit import Report
from tests.market.played import REVISION, START, Played


def _summary(played: Played, report: Report | None = None) -> Summary:
    return summarise(played.journal, report or Report(drawdowns=8), REVISION, seed=7, began=START - 5_000)


@pytest.fixture
def played() -> Played:
    """Two borrowers with three loans or more, one with two; one drawdown declined, one timed out."""
    played = Played()
    for funder_id in ("cf-north", "cf-west", "cf-north", "bank-town"):
        played.routed("cust-1", funder_id, "disbursed")
    played.routed("cust-1", "cf-west", "declined")
    for funder_id in ("cf-west", "cf-west", "cf-west"):
        played.routed("cust-2", funder_id, "cancelled", relaxed=("cooldown", "never_last"))
    played.routed("cust-2", "cf-north", "timed_out", took_ms=250)
    for _ in range(2):
        played.routed("cust-3", "bank-town")
    played.dead_letter("schema")
    played.dead_letter("not_json")
    return played


def test_shares_are_of_borrowers_with_three_loans(played: Played) -> None:
    """Half of the first borrower's, all of the second's; refusals and shorter ledgers are left out."""
    summary = _summary(played)
    assert summary.top_funder_share == 0.75
    assert summary.top_funder_share_p90 == 0.95


def test_chance_draws_among_those_that_only_rotation_kept_out() -> None:
    """Without the rules the same drawdowns fall on one funder more often; with nobody else they do not change."""
    rotated, alone = Played(), Played()
    for _ in range(30):
        for funder_id, other in (("cf-north", "cf-west"), ("cf-west", "cf-north")):
            rotated.routed("cust-1", funder_id, "disbursed", kept_out=(other,))
            alone.routed("cust-1", funder_id, "disbursed")
    assert _summary(alone).top_funder_share_weighted_random == _summary(alone).top_funder_share == 0.5
    assert _summary(rotated).top_funder_share == 0.5
    by_chance = _summary(rotated).top_funder_share_weighted_random
    assert by_chance is not None
    assert 0.5 < by_chance < 0.7


def test_counts_are_those_read(played: Played) -> None:
    """Decisions once each, however often they came; relaxed rules; dead letters by reason; records published."""
    again = played.routed("cust-4", "cf-west")
    played.again(again, took_ms=400)
    summary = _summary(played)
    assert summary.decisions == {"routed": 12}
    assert summary.published == 12 + 9 + 2
    assert summary.relaxed == {"cooldown": 3, "never_last": 3}
    assert summary.dead_letters == summary.dead_letters_expected == {"not_json": 1, "schema": 1}
    assert (summary.latency_p50, summary.latency_p99) == (50.0, 228.0)
    assert summary.first_decision_seconds == 5.0  # one decimal of 5.05
    assert summary.good


def test_each_kind_of_trouble_makes_a_run_bad(played: Played) -> None:
    """Whatever the audit finds is counted under its name, shown with an example, and the verdict is not good."""
    for kind in ("unaccounted", "two_funders", "quota_overrun", "guarantee_overrun", "hard_rule"):
        report = Report()
        report.add(kind, "dd-1:1", "as it must not be")
        summary = _summary(played, report)
        counted = {
            "unaccounted": summary.unaccounted,
            "two_funders": summary.two_funders,
            "quota_overrun": summary.quota_overruns,
            "guarantee_overrun": summary.guarantee_overruns,
            **summary.other_violations,
        }
        assert {name: number for name, number in counted.items() if number} == {kind: 1}
        assert not summary.good
        assert f"{kind} at dd-1:1: as it must not be" in in_words(summary)
        assert in_words(summary).splitlines()[-1].startswith("NOT WELL")


def test_a_dead_letter_too_many_or_too_few_makes_a_run_bad(played: Played) -> None:
    """Good input that was refused, and bad input that was not."""
    played.dead_letter("schema", planted=False)
    assert not _summary(played).good
    lacking = Played()
    lacking.routed("cust-1", "cf-west")
    lacking.journal.expected["schema"] += 1
    assert not _summary(lacking).good


def test_a_run_without_decisions_is_bad() -> None:
    """Nothing decided is no success; figures that there are not are not given as zero."""
    summary = _summary(Played())
    assert not summary.good
    assert summary.first_decision_seconds is None
    assert summary.top_funder_share is summary.top_funder_share_p90 is None
    assert "– of a borrower's drawdowns on average, – at the 90th percentile" in in_words(summary)
    assert in_words(summary).splitlines()[-1] == "NOT WELL: nothing was decided."
