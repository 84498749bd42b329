"""A funder under review: where alarms, or calm, put it on the response ladder."""

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from capture.alarms import Alarm, alarms
from capture.cohorts import LifeTable
from capture.ladder import CALM, after_alarm, moved, multiplier
from capture.record import FunderRecord
from config.rotation import Capture, Funder, Ladder
from rotation.clock import DAY, rfc3339
from rotation.outputs import CaptureAlert, FunderState, FunderStateName


class Review(msgspec.Struct, frozen=True):
    """Where the funder stands now, rates aside, and what is to be told of it."""

    state: FunderState
    alerts: list[CaptureAlert]


def review(
    record: FunderRecord,
    others: Mapping[str, LifeTable],
    funder: Funder,
    rules: Capture,
    heard: FunderState | None,
    now: int,
    *,
    may_pause: bool,
) -> Review:
    """Move the funder along the ladder.

    `others` are the pooled life tables of the funders to compare with. `heard` is the funder's last published state;
    when it is newer than ours, somebody put the funder there, and it stays until an alarm asks for more: calm moves
    only what the ladder moved, and only its traffic follows changed rules. `may_pause` tells whether another funder may
    be paused now. However many detectors alarm at once, the funder moves by one step.
    """
    before = state = _standing(record, funder.id, heard, rules.ladder, now)
    allowed = may_pause and not rules.ladder.pause_needs_approval
    found = sorted(alarms(record, others, funder, rules, now), key=lambda alarm: alarm.strength != "direct")
    for alarm in found:
        follows = after_alarm(before.state, alarm.strength, may_pause=allowed)
        cause = f"{alarm.detector} of {alarm.segment}"
        if follows != after_alarm(before.state, alarm.strength, may_pause=True):
            cause += "; a person must decide on a pause"
        if state is before:
            state = _moved(record, before, follows, cause, rules.ladder, now)
        record.calm_since = now
    alerts = [_alert(funder.id, alarm, before.state, state.state, now) for alarm in found]
    calm_until = record.calm_since + rules.ladder.calm_days * DAY
    if not record.by_person and state.state != "normal" and now >= calm_until:
        cause = f"{rules.ladder.calm_days} days without an alarm"
        state = _moved(record, state, CALM[state.state], cause, rules.ladder, now)
        record.calm_since = now
    return Review(state, alerts)


def _standing(record: FunderRecord, funder_id: str, heard: FunderState | None, ladder: Ladder, now: int) -> FunderState:
    """The newer of what we published, by the rules as they are now, and what others did."""
    if heard is not None and (record.state is None or heard.version > record.state.version):
        record.by_person = True
        return heard
    standing = record.state or FunderState(funder_id, {}, "normal", 1.0, rfc3339(now), "first outcomes", 0)
    if record.by_person:
        return standing
    return msgspec.structs.replace(standing, traffic_multiplier=multiplier(standing.state, ladder))


def _moved(
    record: FunderRecord, state: FunderState, to: FunderStateName, cause: str, ladder: Ladder, now: int
) -> FunderState:
    if to == state.state:
        return state
    after = moved(state, to, cause, ladder, now)
    # Where a person left it less than the step would, that word stands on: evidence gives nobody traffic.
    record.by_person = record.by_person and state.traffic_multiplier < after.traffic_multiplier
    if record.by_person:
        after = msgspec.structs.replace(after, traffic_multiplier=state.traffic_multiplier)
    return after


def _alert(funder_id: str, alarm: Alarm, before: FunderStateName, after: FunderStateName, now: int) -> CaptureAlert:
    named = f"{funder_id}\0{alarm.detector}\0{alarm.segment}\0{now}".encode()
    return CaptureAlert(
        alert_id="alert-" + blake2b(named, digest_size=12).hexdigest(),
        funder_id=funder_id,
        segment=alarm.segment,
        detector=alarm.detector,
        level=after_alarm(before, alarm.strength, may_pause=True),
        occurred_at=rfc3339(now),
        evidence=alarm.evidence,
        state_before=before,
        state_after=after,
    )
