"""Law: a review moves a funder along the ladder by evidence and calm alone, and raises each alarm once.

A person's step stays in place until evidence asks for more.
"""

from datetime import datetime
from random import Random
from typing import Any

import msgspec
import pytest

from capture import canaries, cusum
from capture.record import FunderRecord, decode_funder, encode_funder
from capture.review import Review, review
from config.rotation import Capture, Funder, TrafficMultiplier
from rotation.clock import DAY, rfc3339
from rotation.events import millis
from rotation.outputs import FunderOutcome, FunderState, FunderStateName
from tests.rotation.world import T0, configuration

CONFIG = configuration()
FUNDER: Funder = CONFIG.funders[0]


def rules(**ladder: Any) -> Capture:
    """The shipped rules, with changes to the ladder; a pause needs no approval."""
    changed = msgspec.structs.replace(CONFIG.capture.ladder, **({"pause_needs_approval": False} | ladder))
    return msgspec.structs.replace(CONFIG.capture, ladder=changed)


def at_step(state: FunderStateName, since: int = T0) -> FunderState:
    """A published state."""
    return FunderState(FUNDER.id, {}, state, 0.5, rfc3339(since), "before", 7)


def called(record: FunderRecord, number: int, of: int = 5) -> FunderRecord:
    """The funder saw so many canaries; so many of them, beyond those before, are called."""
    for canary in range(of):
        canaries.saw(record, f"staff-{canary}", T0 - DAY)
    before = sum(canary.tells for canary in record.canaries.values())
    for canary in range(before, before + number):
        canaries.called(record, f"staff-{canary}", T0)
    return record


def fallen() -> FunderRecord:
    """A funder that nobody gets a loan from any more."""
    record, pass_rate = FunderRecord(), CONFIG.capture.pass_rate
    rng = Random(1)
    for number in range(2 * pass_rate.min_events):
        missed = number >= pass_rate.min_events or rng.random() < 0.2
        outcome = FunderOutcome(FUNDER.id, "A", "declined" if missed else "disbursed", T0 + number)
        cusum.watch(record, outcome, pass_rate)
    return record


def reviewed(record: FunderRecord, heard: FunderState | None = None, now: int = T0, **how: Any) -> Review:
    """A review, with what the agent then keeps of it."""
    may_pause = how.pop("may_pause", True)
    found = review(record, {}, FUNDER, rules(**how), heard, now, may_pause=may_pause)
    version = max(found.state.version, record.state.version if record.state else 0) + 1
    record.state = msgspec.structs.replace(found.state, version=version)
    return found


def test_nothing_known_is_normal_and_silent() -> None:
    """A new funder gets its full weight."""
    found = reviewed(FunderRecord())
    assert (found.state.state, found.state.traffic_multiplier, found.alerts) == ("normal", 1.0, [])


def test_a_fallen_pass_rate_has_people_look() -> None:
    """It goes to watch with its evidence in numbers and what else it could mean, and keeps its traffic."""
    found = reviewed(fallen())
    assert found.state.state == "watch"
    assert found.state.traffic_multiplier == CONFIG.capture.ladder.traffic_multiplier.watch
    alert = found.alerts[0]
    assert (alert.detector, alert.level, alert.state_before, alert.state_after) == (
        "pass_rate",
        "watch",
        "normal",
        "watch",
    )
    assert alert.evidence.observed > 2 * alert.evidence.expected
    assert alert.evidence.statistic >= alert.evidence.threshold
    assert alert.evidence.events >= alert.evidence.observed
    assert "tighter credit" in alert.evidence.could_also_be


def test_called_canaries_take_traffic_away() -> None:
    """Two of five, where one in a hundred is called anyway."""
    found = reviewed(called(FunderRecord(), 2))
    assert found.state.state == "throttled"
    assert found.state.traffic_multiplier == CONFIG.capture.ladder.traffic_multiplier.throttled
    (alert,) = found.alerts
    assert (alert.detector, alert.segment, alert.evidence.observed, alert.evidence.events) == (
        "canary",
        "canaries",
        2,
        5,
    )
    assert alert.evidence.statistic <= alert.evidence.threshold


def test_one_call_among_many_canaries_is_chance() -> None:
    """One in eighty, where one in a hundred is called anyway."""
    assert reviewed(called(FunderRecord(), 1, of=80)).alerts == []


def test_each_alarm_is_raised_once() -> None:
    """The next review, on the same evidence, is silent and moves nothing; also after the record was stored."""
    record = called(fallen(), 2)
    assert reviewed(record).alerts
    again = reviewed(decode_funder(encode_funder(record)), now=T0 + DAY)
    assert (again.alerts, again.state.state) == ([], "throttled")


def test_more_evidence_pauses() -> None:
    """More called canaries of one that is throttled already."""
    record = called(FunderRecord(), 2)
    reviewed(record)
    found = reviewed(called(record, 1), now=T0 + DAY)
    assert (found.state.state, found.state.traffic_multiplier) == ("paused", 0.0)


@pytest.mark.parametrize("how", [{"pause_needs_approval": True}, {"may_pause": False}])
def test_a_pause_that_is_not_the_ladder_s_to_make(how: dict[str, Any]) -> None:
    """It stays throttled; alert and cause say that a person must decide."""
    record = called(FunderRecord(), 2)
    reviewed(record, **how)
    found = reviewed(called(record, 1), now=T0 + DAY, **how)
    assert found.state.state == "throttled"
    assert [(alert.level, alert.state_after) for alert in found.alerts] == [("paused", "throttled")]


@pytest.mark.parametrize("how", [{"pause_needs_approval": True}, {"may_pause": False}])
def test_a_probe_that_may_not_be_paused_goes_on(how: dict[str, Any]) -> None:
    """With the little traffic that it had; alert and cause say that a person must decide."""
    probing = msgspec.structs.replace(at_step("probing"), traffic_multiplier=0.05)
    found = reviewed(called(FunderRecord(), 2), probing, **how)
    assert (found.state.state, found.state.traffic_multiplier) == ("probing", 0.05)
    assert [(alert.level, alert.state_after) for alert in found.alerts] == [("paused", "probing")]
    assert reviewed(called(FunderRecord(), 2), probing).state.state == "paused"


def test_a_fallen_pass_rate_leaves_a_probe_as_it_is() -> None:
    """People are to look, and it keeps the little traffic that it had."""
    found = reviewed(fallen(), msgspec.structs.replace(at_step("probing"), traffic_multiplier=0.05))
    assert (found.state.state, found.state.traffic_multiplier) == ("probing", 0.05)
    assert {(alert.level, alert.state_after) for alert in found.alerts} == {("probing", "probing")}


def test_calm_leads_back_step_by_step() -> None:
    """From paused by way of probing, each after `calm_days` without an alarm, and not a moment sooner."""
    record = called(FunderRecord(), 2)
    calm, now = CONFIG.capture.ladder.calm_days * DAY, T0
    reviewed(record)
    assert reviewed(called(record, 1)).state.state == "paused"
    for expected in ("probing", "normal"):
        before = record.state
        assert before is not None
        assert reviewed(record, now=now + calm - 1).state.state == before.state
        now += calm
        found = reviewed(record, now=now)
        assert (found.state.state, found.alerts) == (expected, [])
        assert millis(datetime.fromisoformat(found.state.since)) == now


@pytest.mark.parametrize("state", ["watch", "throttled", "paused", "probing"])
def test_calm_does_not_undo_what_a_person_did(state: FunderStateName) -> None:
    """However long it lasts."""
    record = FunderRecord()
    reviewed(record)
    by_person = at_step(state)
    for days in (1, 50, 500):
        found = reviewed(record, by_person, now=T0 + days * DAY)
        assert (found.state.state, found.state.cause) == (state, "before")


def test_a_person_s_record_is_taken_whatever_it_says_of_its_time() -> None:
    """`since` is for people: nothing is worked out from it."""
    record = FunderRecord()
    reviewed(record)
    found = reviewed(record, msgspec.structs.replace(at_step("watch"), since=""), now=T0 + DAY)
    assert (found.state.state, found.state.since) == ("watch", "")


def test_a_person_can_set_a_funder_free() -> None:
    """Normal by a person's word is normal, until new evidence comes."""
    record = called(FunderRecord(), 2)
    reviewed(record)
    freed = at_step("normal")
    assert reviewed(record, freed, now=T0 + DAY).state.state == "normal"
    assert reviewed(called(record, 1), now=T0 + 2 * DAY).state.state == "throttled"


def test_evidence_hardens_what_a_person_did() -> None:
    """A watched funder whose canaries are called is throttled, and from then on calm softens again."""
    record = FunderRecord()
    reviewed(record)
    reviewed(record, at_step("watch"))
    assert reviewed(called(record, 2), at_step("watch")).state.state == "throttled"
    calm = CONFIG.capture.ladder.calm_days * DAY
    assert reviewed(record, now=T0 + calm).state.state == "normal"


def test_alerts_have_names_of_their_own() -> None:
    """The same alarm of another time is another alert; the same one computed again after a crash is the same."""
    first = reviewed(called(FunderRecord(), 2)).alerts[0].alert_id
    assert reviewed(called(FunderRecord(), 2)).alerts[0].alert_id == first
    assert reviewed(called(FunderRecord(), 2), now=T0 + 1).alerts[0].alert_id != first


def test_changed_rules_reach_who_is_on_the_step_already() -> None:
    """Where the ladder put it; normal stays all of its weight."""
    record, changed = called(FunderRecord(), 2), TrafficMultiplier(watch=0.4, throttled=0.2, probing=0.1, paused=0.0)
    assert reviewed(record).state.traffic_multiplier == 0.5
    found = reviewed(record, now=T0 + 1, traffic_multiplier=changed)
    assert (found.state.state, found.state.traffic_multiplier, found.alerts) == ("throttled", 0.2, [])
    calm = T0 + CONFIG.capture.ladder.calm_days * DAY
    assert reviewed(record, now=calm, traffic_multiplier=changed).state.traffic_multiplier == 1.0


@pytest.mark.parametrize("state", ["normal", "watch", "throttled", "probing"])
def test_changed_rules_leave_what_a_person_wrote(state: FunderStateName) -> None:
    """In the review that hears of it and in all later ones."""
    record, changed = FunderRecord(), TrafficMultiplier(watch=0.4, throttled=0.2, probing=0.1, paused=0.0)
    reviewed(record)
    for days in (1, 2):
        found = reviewed(record, at_step(state), now=T0 + days * DAY, traffic_multiplier=changed)
        assert (found.state.state, found.state.traffic_multiplier) == (state, 0.5)


def test_evidence_gives_no_traffic_that_a_person_took() -> None:
    """Throttled by evidence, with as little traffic as the person left it, until evidence asks for less; no calm."""
    record = FunderRecord()
    reviewed(record)
    by_person = msgspec.structs.replace(at_step("watch"), traffic_multiplier=0.05)
    found = reviewed(called(record, 2), by_person)
    assert (found.state.state, found.state.traffic_multiplier) == ("throttled", 0.05)
    found = reviewed(record, now=T0 + 100 * DAY)
    assert (found.state.state, found.state.traffic_multiplier) == ("throttled", 0.05)
    found = reviewed(called(record, 1), now=T0 + 101 * DAY)
    assert (found.state.state, found.state.traffic_multiplier) == ("paused", 0.0)
