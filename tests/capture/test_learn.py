"""Law: what an event tells of a funder is taken in once, into the cohorts of the time that it speaks of."""

from typing import Any

import msgspec
import pytest

from capture.cohorts import KEPT, PERIOD, Cohort
from capture.learn import MOST_HEARD, hear, learn
from capture.record import FunderRecord, decode_funder, encode_funder
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


def signal(kind: Any, event_id: str = "s", at: int = NOW) -> CaptureSignal:
    """Direct evidence about what happened at `at` (ms), to a member of staff if it was a call."""
    staff = "staff-1" if kind == "canary_contacted" else None
    return CaptureSignal(event_id=event_id, occurred_at=moment(at), funder_id=FUNDER.id, kind=kind, customer_id=staff)


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
    hear(record, signal("borrower_report"), NOW)
    learn(record, outcome("declined"), (0, 0), FUNDER, RULES)
    assert record.cohorts["all report"] == {NOW // PERIOD: Cohort(1, [1])}
    assert record.signals == {"borrower_report": 1}


def test_other_signals_move_no_cohort() -> None:
    """They are counted, and no more."""
    record = FunderRecord()
    hear(record, signal("bureau_inquiry"), NOW)
    assert (record.cohorts, record.signals) == ({}, {"bureau_inquiry": 1})


@pytest.mark.parametrize("kind", ["borrower_report", "canary_contacted", "bureau_inquiry"])
def test_a_signal_that_comes_twice_is_heard_once(kind: str) -> None:
    """Also when it is told again much later, and when the record was stored meanwhile; another one is heard."""
    record = FunderRecord()
    assert hear(record, signal(kind), NOW)
    once = encode_funder(record)
    record = decode_funder(once)
    assert not hear(record, signal(kind), NOW)
    assert not hear(record, signal(kind), NOW + (KEPT - 1) * PERIOD)
    assert encode_funder(record) == once
    assert hear(record, signal(kind, "another"), NOW)
    assert record.signals == {kind: 2}


def test_few_signals_are_remembered() -> None:
    """Those of the periods that are judged, and of them so many at most, those told last: a record must stay small."""
    record = FunderRecord()
    for number in range(MOST_HEARD + 1):
        hear(record, signal("bureau_inquiry", f"s-{number}"), NOW)
    assert len(record.heard) == MOST_HEARD
    assert not hear(record, signal("bureau_inquiry", f"s-{MOST_HEARD}"), NOW)
    assert not hear(record, signal("bureau_inquiry", "s-1"), NOW)
    hear(record, signal("bureau_inquiry", "late"), NOW + KEPT * PERIOD)
    assert list(record.heard) == ["late"]


@pytest.mark.parametrize(("happened", "counted"), [(T0, THEN), (NOW, NOW // PERIOD), (NOW + DAY, NOW // PERIOD)])
def test_a_report_belongs_to_the_time_when_it_happened(happened: int, counted: int) -> None:
    """Not to that when it was told; and nothing has happened later than it was told."""
    record = FunderRecord()
    hear(record, signal("borrower_report", at=happened), NOW)
    assert record.cohorts["all report"] == {counted: Cohort(0, [1])}


def test_a_report_of_a_forgotten_time_brings_no_cohort_back() -> None:
    """Its answers are forgotten, and reports without answers would be too many."""
    record = FunderRecord(judged=NOW // PERIOD)
    hear(record, signal("borrower_report", at=NOW - KEPT * PERIOD), NOW)
    assert record.cohorts == {}
    hear(record, signal("borrower_report", "r", at=NOW - (KEPT - 1) * PERIOD), NOW)
    assert list(record.cohorts["all report"]) == [NOW // PERIOD - KEPT + 1]


@pytest.mark.parametrize(
    ("calls", "tells"),
    [
        ([T0 - DAY], False),
        ([T0 + DAY], True),
        ([T0 - DAY, T0 + DAY], True),
        ([T0 + DAY, T0 - DAY], True),
        ([NOW + DAY], True),
    ],
)
@pytest.mark.parametrize("answered_first", [True, False])
def test_a_call_tells_by_when_it_came(calls: list[int], tells: bool, answered_first: bool) -> None:
    """Not by when it is told: it must be after the drawdown was routed to the funder, be it before the answer."""
    answer = msgspec.structs.replace(outcome("disbursed"), canary="staff-1")
    record = FunderRecord()
    if answered_first:
        learn(record, answer, (0, 0), FUNDER, RULES)
    for number, at in enumerate(calls):
        hear(record, signal("canary_contacted", f"call-{number}", at), NOW)
    learn(record, answer, (0, 0), FUNDER, RULES)
    assert record.canaries["staff-1"].tells == tells
