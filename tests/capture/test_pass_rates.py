"""Law: a funder's rate of a grade is (rate·strength + disbursed) / (strength + disbursed + declined + cancelled).

Over the trailing window, exact to the hour. `timed_out` and `failed` say nothing of the funder, and an outcome that is
told twice counts once.
"""

from copy import deepcopy

import pytest

from capture.learn import learn
from capture.pass_rates import pass_rates
from capture.record import FunderRecord, HourCount, decode_funder, encode_funder
from config.rotation import Funder
from rotation.clock import DAY, MINUTE
from rotation.outputs import FunderOutcome
from tests.rotation.world import HOUR, T0, configuration

WINDOW = 30


def funder(rate: float = 0.8, strength: float = 50) -> Funder:
    """bank-east (grades A, B and C) with this prior."""
    prior = {"rate": rate, "strength": strength}
    return configuration({"funders.bank-east.pass_rate_prior": prior}).funders[0]


def counted(*statuses: str, grade: str = "A", at: int = T0, record: FunderRecord | None = None) -> FunderRecord:
    """A record with one outcome of each status, told one after the other from partition 3."""
    record = record or FunderRecord()
    offset = record.sources.get(3, -1)
    for index, status in enumerate(statuses, offset + 1):
        told(record, FunderOutcome("bank-east", grade, status, at), (3, index))  # type: ignore[arg-type]
    return record


def told(record: FunderRecord, outcome: FunderOutcome, source: tuple[int, int]) -> None:
    """The outcome comes from this partition, as its event of that number."""
    learn(record, outcome, source, funder(), configuration().capture)


def rate(record: FunderRecord, now: int = T0, grade: str = "A") -> float:
    """The rate at `now` with a prior of 0.8 that weighs 50 outcomes."""
    return pass_rates(deepcopy(record), funder(), WINDOW, now)[grade]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], 0.8),
        (["disbursed"], 41 / 51),
        (["declined"], 40 / 51),
        (["cancelled"], 40 / 51),
        (["timed_out", "failed"], 0.8),
        (["disbursed"] * 30 + ["declined"] * 15 + ["cancelled"] * 5 + ["timed_out"] * 9, 70 / 100),
    ],
)
def test_the_rate_is_smoothed_by_its_prior(statuses: list[str], expected: float) -> None:
    """Loans over loans, refusals and walk-aways; faults and silence do not count."""
    assert rate(counted(*statuses)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("prior", "strength", "expected"), [(0.5, 2, 2 / 3), (1.0, 10, 1.0), (0.1, 0.5, 1.05 / 1.5)])
def test_prior_and_strength_are_the_configured_ones(prior: float, strength: float, expected: float) -> None:
    """One loan, against beliefs of different weight."""
    rates = pass_rates(counted("disbursed"), funder(prior, strength), WINDOW, T0)
    assert rates["A"] == pytest.approx(expected, abs=1e-6)


def test_each_accepted_grade_has_its_own_rate() -> None:
    """Grades that the funder does not take have none."""
    record = counted("disbursed", grade="A")
    counted("declined", grade="B", record=record)
    rates = pass_rates(record, funder(), WINDOW, T0)
    assert rates == pytest.approx({"A": 41 / 51, "B": 40 / 51, "C": 0.8}, abs=1e-6)


def test_rates_are_published_to_six_digits() -> None:
    """So that they are the same text on every machine."""
    assert rate(counted("disbursed")) == 0.803922


@pytest.mark.parametrize("minutes", [0, 1, 30, 59])
def test_an_outcome_leaves_the_window_within_the_hour(minutes: int) -> None:
    """It counts until an hour before it is 30 days old, and not beyond them."""
    at = T0 + minutes * MINUTE
    record = counted("disbursed", at=at)
    assert rate(record, at + WINDOW * DAY - HOUR) == pytest.approx(41 / 51, abs=1e-6)
    assert rate(record, at + WINDOW * DAY) == 0.8


@pytest.mark.parametrize("days", [1, 7])
def test_the_window_is_the_configured_one(days: int) -> None:
    """In whole days."""
    record = counted("disbursed")
    assert pass_rates(deepcopy(record), funder(), days, T0 + days * DAY - 1)["A"] > 0.8
    assert pass_rates(deepcopy(record), funder(), days, T0 + days * DAY)["A"] == 0.8


def test_old_outcomes_leave_one_by_one() -> None:
    """A loan an hour for two days, then nothing: each hour one less counts."""
    record = FunderRecord()
    for hour in range(48):
        counted("disbursed", at=T0 + hour * HOUR, record=record)
    for hour in range(50):
        left = max(0, 48 - hour)
        expected = (40 + left) / (50 + left)
        assert rate(record, T0 + WINDOW * DAY - 1 + hour * HOUR) == pytest.approx(expected, abs=1e-6)


def test_outcomes_in_any_order_count_alike() -> None:
    """Partitions have different stream times: an older outcome may come after a newer one."""
    record = FunderRecord()
    for hour in (5, 0, 3, 5, 0):
        counted("disbursed", "declined", at=T0 + hour * HOUR, record=record)
    assert len(record.hours["A"]) == 3
    assert rate(record, T0 + 6 * HOUR) == pytest.approx(45 / 60, abs=1e-6)
    assert rate(record, T0 + WINDOW * DAY) == pytest.approx(43 / 56, abs=1e-6)


def test_an_outcome_that_is_told_again_counts_once() -> None:
    """After a crash outcomes come again with their partition and number; one of another partition is another."""
    record = FunderRecord()
    loan = FunderOutcome("bank-east", "A", "disbursed", T0)
    for source in ((0, 5), (0, 5), (0, 4), (0, 0), (1, 5), (0, 6), (0, 6), (0, 5)):
        told(record, loan, source)
    assert rate(record) == pytest.approx(43 / 53, abs=1e-6)


def test_the_first_number_of_a_partition_counts() -> None:
    """Number 0 is told once, and not taken for a repeat."""
    record = FunderRecord()
    for _ in range(2):
        told(record, FunderOutcome("bank-east", "A", "disbursed", T0), (0, 0))
    assert rate(record) == pytest.approx(41 / 51, abs=1e-6)


def test_a_record_forgets_what_left_the_window() -> None:
    """An outcome every hour for 90 days, rates taken every day: the record holds a window's hours at most."""
    record = FunderRecord()
    for hour in range(365 * 24):
        counted("disbursed", at=T0 + hour * HOUR, record=record)
        if hour % 24 == 0:
            pass_rates(record, funder(), WINDOW, T0 + hour * HOUR)
    assert sum(map(len, record.hours.values())) <= (WINDOW + 1) * 24


def test_a_record_is_stored_and_read_back_as_it_was() -> None:
    """All of it: hours, sources, what was published, signals."""
    record = counted("disbursed", "declined", "failed")
    pass_rates(record, funder(), WINDOW, T0)
    record.published, record.published_at = {"A": 0.8}, T0
    record.signals["canary_contacted"] = 2
    stored = encode_funder(record)
    assert decode_funder(stored) == record
    assert encode_funder(decode_funder(stored)) == stored


def test_a_funder_that_was_never_stored_has_an_empty_record() -> None:
    """Nothing counted, nothing published."""
    assert decode_funder(None) == FunderRecord()
    assert decode_funder(None).published is None


#: Written by the first version.
STORED = (
    "019582a1419193ce00079a160101a1429193ce00079a17000181030381a141cb3fe8000000000000cf000001a195b17f0081b063616e6172"
    "795f636f6e74616374656402"
)


def test_a_record_that_was_stored_once_is_still_read() -> None:
    """States live for years: what the first version wrote means the same today."""
    hours = {"A": [HourCount(498_198, disbursed=1, missed=1)], "B": [HourCount(498_199, missed=1)]}
    expected = FunderRecord(hours, {3: 3}, {"A": 0.75}, T0, {"canary_contacted": 2})
    assert decode_funder(bytes.fromhex(STORED)) == expected


def test_a_record_of_an_unknown_version_is_refused() -> None:
    """Rather than read as something that it is not."""
    with pytest.raises(ValueError, match="unknown version 2"):
        decode_funder(b"\x02" + bytes.fromhex(STORED)[1:])
