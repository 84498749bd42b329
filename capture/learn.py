"""What is learnt of a funder from one event: the only door into its record."""

from capture import canaries, cusum, pacing
from capture.cohorts import EVERYBODY, KEPT, Cohort, Cohorts, Kind, come_back, depart, key_of, period
from capture.pass_rates import count
from capture.record import FunderRecord
from config.rotation import Capture, Funder
from rotation.events import CaptureSignal, millis
from rotation.outputs import EarlySettlement, FunderEvent, FunderOutcome

#: Every answer, whatever the grade, by the reports of the same period.
REPORTS = key_of(EVERYBODY, "report")
#: So many signals of a funder are remembered at most: its record is written with every batch that tells of it, and an
#: id may be 64 bytes long. Who tells twice does so soon.
MOST_HEARD = 1000


def learn(
    record: FunderRecord, event: FunderEvent, source: tuple[int, int], funder: Funder | None, rules: Capture
) -> bool:
    """Take in an event once; whether it is new.

    `source` is the borrower partition that it came from, and its number among all that this partition told, in order;
    `funder` is None when it is not configured any more.
    """
    partition, number = source
    if number <= record.sources.get(partition, -1):
        return False
    record.sources[partition] = number
    match event:
        case FunderOutcome():
            if event.status not in ("timed_out", "failed"):
                _answered(record, event, funder, rules)
        case EarlySettlement():
            come_back(_cohorts(record, event.risk_grade, "early"), event.decided_at, event.occurred_at)
            depart(_cohorts(record, event.risk_grade, "settlement"), event.occurred_at)
        case _:
            come_back(_cohorts(record, event.risk_grade, event.after), event.since, event.occurred_at)
    return True


def hear(record: FunderRecord, signal: CaptureSignal, at: int) -> bool:
    """Take in direct evidence once, told at `at` (ms); whether it is new.

    It counts for the time when it happened, though never for a later one than `at`.
    """
    if signal.event_id in record.heard:
        return False
    _remember(record.heard, signal.event_id, period(at))
    record.signals[signal.kind] = record.signals.get(signal.kind, 0) + 1
    happened = min(millis(signal.occurred_at), at)
    if signal.kind == "canary_contacted" and signal.customer_id is not None:
        canaries.called(record, signal.customer_id, happened)
    elif signal.kind == "borrower_report" and period(happened) > record.judged - KEPT:
        reported = record.cohorts.setdefault(REPORTS, {})
        reported.setdefault(period(happened), Cohort())
        come_back(reported, happened, happened)
    return True


def _remember(heard: dict[str, int], event_id: str, told: int) -> None:
    """Remember a signal, and forget those that no judgement looks at any more, or the oldest of too many."""
    for forgotten in [each for each, number in heard.items() if number <= told - KEPT]:
        del heard[forgotten]
    if len(heard) >= MOST_HEARD:
        del heard[next(iter(heard))]
    heard[event_id] = told


def _answered(record: FunderRecord, outcome: FunderOutcome, funder: Funder | None, rules: Capture) -> None:
    count(record, outcome)
    if funder is not None:
        cusum.watch(record, outcome, rules.pass_rate)
    depart(record.cohorts.setdefault(REPORTS, {}), outcome.occurred_at)
    if outcome.canary is not None:
        canaries.saw(record, outcome.canary, outcome.decided_at)
    if outcome.status == "disbursed":
        pacing.lent(record.pace, outcome.amount, outcome.decided_at)
        depart(_cohorts(record, outcome.risk_grade, "loan"), outcome.decided_at)
        depart(_cohorts(record, outcome.risk_grade, "early"), outcome.decided_at)
    elif outcome.attempt == 1:
        refused: Kind = "dead_end" if outcome.alone else "refusal"
        kind: Kind = refused if outcome.status == "declined" else "walk_away"
        depart(_cohorts(record, outcome.risk_grade, kind), outcome.decided_at)


def _cohorts(record: FunderRecord, grade: str, kind: Kind) -> Cohorts:
    return record.cohorts.setdefault(key_of(grade, kind), {})
