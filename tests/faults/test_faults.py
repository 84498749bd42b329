"""The faults that no other test covers, short, in one scene. `./dev faults` plays all of them, longer."""

from pathlib import Path

import pytest

from bench.machine import this_machine
from tests.brokers import ApacheKafka
from tests.faults import results
from tests.faults.faults import FAULTS
from tests.faults.play import play
from tests.faults.results import Result

SHORT = ("two-revisions", "poison", "clock-jump")
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.apache
@pytest.mark.timeout(300)
def test_the_ledger_balances_after_each(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    """Two revisions in one moment, bad records in a mass and a wrong clock, under load."""
    result = play(SHORT, apache_kafka, tmp_path, seed=7, rounds=1, machine=this_machine())

    assert result.problems == []
    assert (result.lost, result.doubled, result.overrun) == (0, 0, 0)
    assert result.drawdowns > 100
    assert result.dead_letters > 1_000
    assert result.replayed >= result.drawdowns


def test_the_document_is_that_of_its_figures() -> None:
    """`docs/reliability.md` is what `./dev faults` makes of the figures beside it, and holds every fault."""
    kept = results.read(DOCS / "reliability.json")
    assert kept.keys() == FAULTS.keys()
    assert (DOCS / "reliability.md").read_text() == results.markdown(kept)


def test_a_failure_is_shown() -> None:
    """A fault after which a drawdown was lost does not pass, and its line says so."""
    result = Result("kill", seed=1, times=1, machine=this_machine(), lost=1)
    assert not result.passed
    assert "**failed**" in results.markdown({"kill": result})
