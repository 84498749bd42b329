"""A draft's what-if on traffic whose making is known tells what the draft then really does.

A draft that changes nothing changes nothing; the number of processes makes no difference; where the record cannot tell,
the report says so.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.whatif.traffic import answered, pause, revision, weigh, written
from whatif.run import what_if


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 drawdowns of ten days under the shipped weights, in two partitions."""
    return written(tmp_path_factory.mktemp("traffic") / "archive", 3000)


def test_a_draft_that_changes_nothing_changes_nothing(archive: Path) -> None:
    """Decisions, relaxations, shares, quotas and outcomes are those recorded, exactly; nothing had to be drawn."""
    found = answered(archive, revision())

    assert found.before == found.after
    assert (found.evidence.moved, found.evidence.unserved, found.evidence.uncovered) == (0, 0, 0)
    assert found.evidence.answers_drawn == 0
    assert found.evidence.same > 2900
    for value in (found.outcomes.loans, found.outcomes.amount, found.outcomes.fees):
        assert value.before > 0
        assert (value.change, value.change_interval) == (0, (0, 0))
    assert (found.answer, found.why) == ("yes", [])


def test_the_number_of_processes_makes_no_difference(archive: Path) -> None:
    """Nor that progress is told: each drawdown once."""
    told: list[int] = []
    draft = revision(weigh(2, 6))

    assert answered(archive, draft, processes=1) == answered(archive, draft, processes=2)
    what_if(archive, draft, told.append)
    assert sum(told) == 3000


def test_it_tells_what_the_draft_then_does(archive: Path, tmp_path: Path) -> None:
    """The same borrowers and requests, decided under the draft from the start: shares within 2 points, relaxations and
    the top funder's share close; and loans within the interval, give or take the luck of that other run."""
    edit = weigh(2, 6)
    found = answered(archive, revision(edit))
    done = answered(written(tmp_path / "done", 3000, edit), revision(edit))

    for funder_id, funder in found.after.funders.items():
        assert funder.share == pytest.approx(done.before.funders[funder_id].share, abs=0.02)
    assert found.after.funders["cf-west"].share > found.before.funders["cf-west"].share + 0.01
    assert found.after.top_share == pytest.approx(done.before.top_share, abs=0.02)
    assert found.after.served == pytest.approx(done.before.served, rel=0.02)
    low, high = found.outcomes.loans.after_interval
    luck = 2 * 0.45 * 3000**0.5
    assert low - luck <= done.outcomes.loans.before <= high + luck
    assert found.answer == "yes"


def test_a_paused_funder_gets_nothing_and_others_its_drawdowns(archive: Path) -> None:
    """What was its is moved to those who might have had it, or unserved; the rest stays."""
    found = answered(archive, revision(pause(0)))

    was = found.before.funders["bank-east"]
    assert was.routed > 100
    assert found.after.funders["bank-east"].routed == 0
    assert found.after.unserved >= found.before.unserved
    assert 0 < found.evidence.moved + found.evidence.unserved <= was.routed
    assert "bank-east" not in found.evidence.moved_to
    assert found.outcomes.fees.change_interval[1] < 0.1 * found.outcomes.fees.before


def test_a_quota_is_kept_across_partitions(archive: Path) -> None:
    """A tenth of a funder's drawdowns a day: no day goes beyond it by more than one step of the others brings."""

    def edit(document: dict[str, Any]) -> None:
        document["funders"][2]["quota"]["daily_count"] = 10

    found = answered(archive, revision(edit))

    use = found.after.funders["cf-west"].use
    assert use is not None
    assert use.full_days >= 9
    assert use.highest <= 1.2
    assert found.after.funders["cf-west"].routed < found.before.funders["cf-west"].routed / 2


def test_of_a_funder_that_was_paused_the_record_cannot_tell(tmp_path: Path) -> None:
    """It was never chosen, so no outcome says what it would do; the interval holds all that may be."""
    found = answered(written(tmp_path / "paused", 800, pause(2), partitions=1), revision())

    assert found.answer == "no"
    assert "go to a funder that the record could not have chosen for them" in found.why[0]
    assert found.evidence.uncovered > 0.05 * 800
    low, high = found.outcomes.loans.after_interval
    assert high - low > found.evidence.uncovered


def test_too_few_outcomes_are_no_answer(tmp_path: Path) -> None:
    """A hundred drawdowns tell little of one that moves."""
    found = answered(written(tmp_path / "few", 120, partitions=1), revision(weigh(2, 30)))

    assert found.answer == "no"
    assert any("and 100 are needed" in why for why in found.why)


def test_another_seed_draws_anew(archive: Path) -> None:
    """Half of the drawdowns or so go elsewhere, and on the whole nothing changes."""

    def edit(document: dict[str, Any]) -> None:
        document["selection"]["seed"] = "another"

    found = answered(archive, revision(edit))

    assert found.evidence.moved > 300
    low, high = found.outcomes.loans.change_interval
    assert low < 0 < high
    for funder_id, funder in found.after.funders.items():
        assert funder.share == pytest.approx(found.before.funders[funder_id].share, abs=0.03)


def test_fees_count_as_the_draft_has_them(archive: Path) -> None:
    """Twice the fee of everybody and the same choices: twice the fees, without doubt."""

    def edit(document: dict[str, Any]) -> None:
        for funder in document["funders"]:
            funder["fee_bp"] *= 2

    fees = answered(archive, revision(edit)).outcomes.fees

    assert fees.after == pytest.approx(2 * fees.before)


def test_a_report_is_a_document(archive: Path) -> None:
    """It is read back as it was written."""
    found = answered(archive, revision())

    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
