"""Which detectors alarm over a funder, and how strongly. Every alarm is given once: its statistic starts anew."""

from collections.abc import Iterator, Mapping
from itertools import groupby

import msgspec

from capture import canaries, cusum
from capture.cohorts import EVERYBODY, LifeTable, forget, period
from capture.departures import AFTER, statistics, threshold
from capture.estimate import Belief, sure, weigh
from capture.ladder import Strength
from capture.record import FunderRecord
from config.rotation import Capture, Funder
from rotation.clock import rfc3339
from rotation.outputs import CaptureEvidence, Detector


class Reading(msgspec.Struct, frozen=True):
    """How an alarm of a detector is to be read: how much it alone proves, and what else it could mean."""

    strength: Strength
    could_also_be: list[str]


READINGS: dict[Detector, Reading] = {
    "pass_rate": Reading("suggestive", ["tighter credit", "a dearer price", "an outage", "other borrowers"]),
    "non_return": Reading("suggestive", ["other borrowers than elsewhere", "bad service", "a dearer price"]),
    "early_settlement": Reading("suggestive", ["a dearer price", "borrowers with seasonal income"]),
    "canary": Reading("direct", ["contact data leaked elsewhere"]),
    "borrower_report": Reading("suggestive", ["complaints about service", "reports that were asked for"]),
    "combined": Reading("direct", ["other borrowers than elsewhere", "bad service and a dear price together"]),
}


class Alarm(msgspec.Struct, frozen=True):
    """A detector's finding. `evidence` as in `capture-alerts`."""

    detector: Detector
    segment: str
    evidence: CaptureEvidence

    @property
    def strength(self) -> Strength:
        """How much it alone proves."""
        return READINGS[self.detector].strength


def alarms(
    record: FunderRecord, others: Mapping[str, LifeTable], funder: Funder, rules: Capture, now: int
) -> Iterator[Alarm]:
    """All alarms at `now` (ms). `others` are the pooled life tables of the funders to compare with."""
    # Half of the false alarms are left to all evidence together, which alone moves the funder far.
    run_days = 2 * rules.pass_rate.arl_days
    yield from _pass_rate(record, funder, _statistics_of(funder) * run_days, now)
    yield from _canaries(record, rules)
    if record.judged < period(now):
        record.judged = period(now)
        for cohorts in record.cohorts.values():
            forget(cohorts, now)
        yield from _departures(record, others, funder, rules, _statistics_of(funder) * run_days, now)
        belief = weigh(record, others, funder, rules, now)
        yield from _combined(record, belief, sure(run_days, rules.combined), now)


def _statistics_of(funder: Funder) -> int:
    """How many statistics share the asked run length: for each segment, departure and detector; and the reports."""
    return len(cusum.segments(funder)) * (len(AFTER) + 2) + 1


def _pass_rate(record: FunderRecord, funder: Funder, run_days: float, now: int) -> Iterator[Alarm]:
    for segment in cusum.segments(funder):
        sums = record.cusums.get(segment)
        limit = cusum.threshold(record, segment, run_days, now)
        if sums is not None and sums.statistic >= limit:
            yield _alarm(
                "pass_rate", segment, sums.observed, sums.expected, sums.events, sums.statistic, limit, sums.since
            )
            sums.statistic = 0.0


def _canaries(record: FunderRecord, rules: Capture) -> Iterator[Alarm]:
    seen = sum(canary.seen_at > 0 for canary in record.canaries.values())
    calls = sorted(canary.called_at for canary in record.canaries.values() if canary.tells)
    called = len(calls)
    if called > record.called:
        record.called = called
        chance = canaries.p_value(called, seen, rules.canary.control_rate)
        limit = canaries.level(called, rules.canary.alpha)
        if chance <= limit:
            expected = seen * rules.canary.control_rate
            yield _alarm("canary", "canaries", called, expected, seen, chance, limit, calls[0])


def _departures(
    record: FunderRecord,
    others: Mapping[str, LifeTable],
    funder: Funder,
    rules: Capture,
    run_days: float,
    now: int,
) -> Iterator[Alarm]:
    limit = threshold(run_days)
    found = sorted(statistics(record, others, funder, rules, now), key=lambda each: (each.detector, -each.value))
    for detector, of_detector in groupby(found, key=lambda each: each.detector):
        # Segments overlap: one alarm tells of all of them.
        worst = next(of_detector)
        if worst.value >= limit:
            record.alarms[detector] = period(now)
            yield _alarm(
                detector, worst.segment, worst.observed, worst.expected, worst.events, worst.value, limit, worst.since
            )


def _combined(record: FunderRecord, belief: Belief, limit: float, now: int) -> Iterator[Alarm]:
    """An alarm each time that the evidence has grown by the threshold; while half of it stands there is no calm."""
    record.risk = belief.risk
    reached = max(0, int(belief.log_ratio / limit))
    if reached > record.reached:
        yield _alarm(
            "combined",
            EVERYBODY,
            belief.away,
            belief.usual,
            belief.departed,
            belief.log_ratio,
            reached * limit,
            belief.since,
        )
    record.reached = max(record.reached, reached)
    if belief.log_ratio < limit / 2:
        record.reached = 0
    elif record.reached:
        record.calm_since = now


def _alarm(
    detector: Detector,
    segment: str,
    observed: int,
    expected: float,
    events: int,
    statistic: float,
    limit: float,
    since: int,
) -> Alarm:
    evidence = CaptureEvidence(
        observed=observed,
        expected=round(expected, 3),
        events=events,
        statistic=float(f"{statistic:.6g}"),
        threshold=float(f"{limit:.6g}"),
        since=rfc3339(since),
        could_also_be=READINGS[detector].could_also_be,
    )
    return Alarm(detector, segment, evidence)
