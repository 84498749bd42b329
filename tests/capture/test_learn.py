"""Law: what an event tells of a funder is taken in once, into the cohorts of the time that it speaks of."""

from typing import Any

import pytest

from capture.cohorts import PERIOD, Cohort
from capture.learn import hear, learn
from capture.record import FunderRecord
from market.publication import moment
from rotation.clock import DAY
from rotation.events import CaptureSignal
from rotation.outputs import EarlySettlement, FunderEvent, FunderOutcome, FunderReturn
from tests.capture.market import FUNDER, RULES
from tests.rotation.world import T0

NOW = T0 + 20 * DAY
THEN, LATER = T0 // PERIOD, (T0 + 10 * DAY) // PERIOD


def outcome(status: Any, attempt: int = 1, *, alone: bool = False) -> FunderOutcome:
    """An answer to a drawdown that was decided at T0."""
    return FunderOutcome(FUNDER.id, "A", status, NOW, attempt=attempt, decided_at=T0, alone=alone)


def learnt(*events: FunderEvent) -> dict[str, dict[int, Cohort]]:
    """The cohorts, but those of reports, after these events."""
    record = FunderRecord()
    for number, event in enumerate(events):
        learn(record, event, (0, number), FUNDER, RULES)
    return {key: cohorts for key, cohorts in record.cohorts.items() if not key.startswith("all")}


@pytest.mark.parametrize(
    ("told", "departed"),
    [
        (outcome("disbursed"), {"A loan", "A early"}),
        (outcome("disbursed", attempt=2), {"A loan", "A early"}),
        (outcome("declined"), {"A refusal"}),
        (outcome("declined", alone=True), {"A dead_end"}),
        (outcome("cancelled"), {"A walk_away"}),
        (outcome("declined", attempt=2), set()),
        (outcome("timed_out"), set()),
        (outcome("failed"), set()),
    ],
)
def test_an_answer_is_a_departure_of_its_decision_s_time(told: FunderOutcome, departed: set[str]) -> None:
    """A loan counts twice, also by when it is settled early; later attempts may fail for what an earlier one did."""
    assert learnt(told) == {key: {THEN: Cohort(1)} for key in departed}


def test_a_return_is_counted_with_the_departure_that_it_follows() -> None:
    """By how many periods later it came."""
    cohorts = learnt(outcome("disbursed"), FunderReturn(FUNDER.id, "A", "loan", T0, T0 + 10 * DAY))
    assert cohorts["A loan"] == {THEN: Cohort(1, [0] * (LATER - THEN) + [1])}


def test_an_early_settlement_is_counted_with_its_loan_and_departs_itself() -> None:
    """From the loan's decision to the settlement, and from there on."""
    cohorts = learnt(outcome("disbursed"), EarlySettlement(FUNDER.id, "A", T0, T0 + 10 * DAY))
    assert cohorts["A early"] == {THEN: Cohort(1, [0] * (LATER - THEN) + [1])}
    assert cohorts["A settlement"] == {LATER: Cohort(1)}


def test_a_report_is_counted_among_the_answers_of_its_period() -> None:
    """Also when it comes before them."""
    record = FunderRecord()
    report = CaptureSignal(event_id="r", occurred_at=moment(NOW), funder_id=FUNDER.id, kind="borrower_report")
    hear(record, report, NOW)
    learn(record, outcome("declined"), (0, 0), FUNDER, RULES)
    assert record.cohorts["all report"] == {NOW // PERIOD: Cohort(1, [1])}
    assert record.signals == {"borrower_report": 1}


def test_other_signals_move_no_cohort() -> None:
    """They are counted, and no more."""
    record = FunderRecord()
    signal = CaptureSignal(event_id="s", occurred_at=moment(NOW), funder_id=FUNDER.id, kind="bureau_inquiry")
    hear(record, signal, NOW)
    assert (record.cohorts, record.signals) == ({}, {"bureau_inquiry": 1})
