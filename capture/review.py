"""A funder under review: which detectors alarm, and where that, or calm, puts it on the response ladder."""

from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b

import msgspec

from capture import canaries, cusum
from capture.ladder import CALM, Strength, after_alarm
from capture.record import FunderRecord
from config.rotation import Capture, Funder, Ladder
from rotation.clock import DAY, rfc3339
from rotation.events import millis
from rotation.outputs import CaptureAlert, CaptureEvidence, Detector, FunderState, FunderStateName

#: What else a detector's alarm could mean, for whoever reads it.
EXPLANATIONS: dict[Detector, list[str]] = {
    "pass_rate": ["tighter credit", "a dearer price", "an outage", "other borrowers than before"],
    "canary": ["contact data leaked elsewhere"],
}


class Alarm(msgspec.Struct, frozen=True):
    """A detector's finding. `evidence` as in `capture-alerts`."""

    detector: Detector
    strength: Strength
    segment: str
    evidence: CaptureEvidence


class Review(msgspec.Struct, frozen=True):
    """Where the funder stands now, rates aside, and what is to be told of it."""

    state: FunderState
    alerts: list[CaptureAlert]


def review(
    record: FunderRecord, funder: Funder, rules: Capture, heard: FunderState | None, now: int, *, may_pause: bool
) -> Review:
    """Move the funder along the ladder. Every alarm is raised once: its sum starts anew.

    `heard` is the funder's last published state; when it is newer than ours, somebody put the funder there, and it
    stays until an alarm asks for more: calm moves only what the ladder moved. `may_pause` tells whether another funder
    may be paused now.
    """
    state = _standing(record, funder.id, heard, now)
    alerts = []
    for alarm in _alarms(record, funder, rules, now):
        level = after_alarm(state.state, alarm.strength, may_pause=True)
        allowed = may_pause and not rules.ladder.pause_needs_approval
        follows = after_alarm(state.state, alarm.strength, may_pause=allowed)
        cause = f"{alarm.detector} of {alarm.segment}"
        if follows != level:
            cause += "; a person must decide on a pause"
        after = _moved(record, state, follows, cause, rules.ladder, now)
        alerts.append(_alert(funder.id, alarm, level, state.state, after.state, now))
        record.alarmed_at, state = now, after
    calm_since = max(record.alarmed_at, millis(datetime.fromisoformat(state.since)))
    if not record.by_person and state.state != "normal" and now >= calm_since + rules.ladder.calm_days * DAY:
        cause = f"{rules.ladder.calm_days} days without an alarm"
        state = _moved(record, state, CALM[state.state], cause, rules.ladder, now)
    return Review(state, alerts)


def _standing(record: FunderRecord, funder_id: str, heard: FunderState | None, now: int) -> FunderState:
    """The newer of what we published and what others did."""
    if heard is not None and (record.state is None or heard.version > record.state.version):
        record.by_person = heard.state != "normal"
        return heard
    return record.state or FunderState(funder_id, {}, "normal", 1.0, rfc3339(now), "first outcomes", 0)


def _moved(
    record: FunderRecord, state: FunderState, to: FunderStateName, cause: str, ladder: Ladder, now: int
) -> FunderState:
    if to == state.state:
        return state
    record.by_person = False
    multiplier = 1.0 if to == "normal" else getattr(ladder.traffic_multiplier, to)
    return msgspec.structs.replace(state, state=to, traffic_multiplier=multiplier, since=rfc3339(now), cause=cause)


def _alarms(record: FunderRecord, funder: Funder, rules: Capture, now: int) -> Iterator[Alarm]:
    for segment in cusum.segments(funder):
        sums = record.cusums.get(segment)
        limit = cusum.threshold(record, funder, segment, rules.pass_rate.arl_days, now)
        if sums is not None and sums.statistic >= limit:
            evidence = _evidence(
                "pass_rate", sums.observed, sums.expected, sums.events, sums.statistic, limit, sums.since
            )
            yield Alarm("pass_rate", "suggestive", segment, evidence)
            sums.statistic = 0.0
    seen = sum(canary.seen_at > 0 for canary in record.canaries.values())
    calls = sorted(canary.called_at for canary in record.canaries.values() if canary.tells)
    called = len(calls)
    if called > record.called:
        record.called = called
        chance = canaries.p_value(called, seen, rules.canary.control_rate)
        limit = canaries.level(called, rules.canary.alpha)
        if chance <= limit:
            expected = seen * rules.canary.control_rate
            evidence = _evidence("canary", called, expected, seen, chance, limit, calls[0])
            yield Alarm("canary", "direct", "canaries", evidence)


def _evidence(
    detector: Detector, observed: int, expected: float, events: int, statistic: float, limit: float, since: int
) -> CaptureEvidence:
    return CaptureEvidence(
        observed=observed,
        expected=round(expected, 3),
        events=events,
        statistic=float(f"{statistic:.6g}"),
        threshold=float(f"{limit:.6g}"),
        since=rfc3339(since),
        could_also_be=EXPLANATIONS[detector],
    )


def _alert(
    funder_id: str, alarm: Alarm, level: FunderStateName, before: FunderStateName, after: FunderStateName, now: int
) -> CaptureAlert:
    named = f"{funder_id}\0{alarm.detector}\0{alarm.segment}\0{now}".encode()
    return CaptureAlert(
        alert_id="alert-" + blake2b(named, digest_size=12).hexdigest(),
        funder_id=funder_id,
        segment=alarm.segment,
        detector=alarm.detector,
        level=level,
        occurred_at=rfc3339(now),
        evidence=alarm.evidence,
        state_before=before,
        state_after=after,
    )
