"""Law: what has too few events to alarm says so, with how many it has and needs, and no more once it has enough."""

from capture import canaries
from capture.alarms import alarms
from capture.record import FunderRecord
from capture.silence import silent
from tests.capture.market import FUNDER, RULES, Behaviour, Town

NEEDED = RULES.pass_rate.min_events


def _silent(town: Town) -> dict[str, int]:
    found = silent(town.records[FUNDER.id], town.compared(), FUNDER, RULES)
    assert all(each.needed == NEEDED for each in found if each.detector != "canary")
    return {f"{each.detector} {each.segment}": each.events for each in found}


def test_a_new_funder_is_watched_by_no_detector() -> None:
    """Each detector tells of itself, in each grade that the funder takes."""
    found = silent(FunderRecord(), {}, FUNDER, RULES)
    assert {each.detector for each in found} == {
        "pass_rate", "non_return", "early_settlement", "borrower_report", "combined", "canary",
    }  # fmt: skip
    grades = {each.segment for each in found if each.detector == "pass_rate"}
    assert grades == {f"grade {grade}" for grade in FUNDER.grades}
    assert all(each.events == 0 < each.needed for each in found)


def test_events_end_the_silence_one_by_one() -> None:
    """First the detectors of everybody, then those of frequent events; what has no events stays silent."""
    town = Town(1, Behaviour())
    for _ in range(3):
        town.pass_day()
    young = _silent(town)
    assert 0 < young["pass_rate grade A"] < NEEDED
    assert "borrower_report all" not in young
    for _ in range(27):
        town.pass_day()
    grown = _silent(town)
    assert set(grown) < set(young)
    assert not [name for name in grown if name.startswith(("pass_rate", "combined", "early_settlement"))]
    assert "non_return grade A after a loan" not in grown
    assert 0 < grown["non_return grade A after settling early"] < NEEDED


def test_who_is_told_to_be_silent_does_not_alarm() -> None:
    """A funder that keeps every borrower, with as few events elsewhere."""
    town = Town(1, Behaviour(at_drawdown=0.9))
    town.pass_day()
    quiet = {name.split()[0] for name in _silent(town)}
    found = {each.detector for each in alarms(town.records[FUNDER.id], town.compared(), FUNDER, RULES, town.now)}
    assert "non_return" in quiet
    assert found.isdisjoint(quiet)


def test_canaries_need_as_many_as_could_prove_anything() -> None:
    """One called canary can be chance, however unlikely; two that are both called can not."""
    record = FunderRecord()
    for number in (1, 2):
        canaries.saw(record, f"staff-{number}", 1)
        told = [each for each in silent(record, {}, FUNDER, RULES) if each.detector == "canary"]
        assert [(each.events, each.needed) for each in told] == ([(1, 2)] if number == 1 else [])
