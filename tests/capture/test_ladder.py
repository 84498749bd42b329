"""Law: alarms only harden the ladder, calm only softens it, and from each step calm leads back to normal."""

from typing import get_args

import pytest

from capture.ladder import ALARM, CALM, Strength, after_alarm
from rotation.outputs import FunderStateName

STATES: tuple[FunderStateName, ...] = get_args(FunderStateName)
STRENGTHS: tuple[Strength, ...] = get_args(Strength)
#: From most to least traffic.
SEVERITY: dict[FunderStateName, int] = {"normal": 0, "watch": 1, "throttled": 2, "probing": 3, "paused": 4}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_an_alarm_never_gives_traffic(state: FunderStateName, strength: Strength) -> None:
    """Probing goes up or down; from every other step an alarm leads to the same or a harder one."""
    follows = after_alarm(state, strength, may_pause=True)
    assert state == "probing" or SEVERITY[follows] >= SEVERITY[state]
    assert follows != "normal"


@pytest.mark.parametrize("state", STATES)
def test_a_suggestive_alarm_takes_no_traffic_from_an_honest_funder(state: FunderStateName) -> None:
    """Fewer loans alone have people look: nobody is throttled or paused who was not before."""
    if state in ("normal", "watch"):
        assert ALARM["suggestive"][state] == "watch"
    assert (ALARM["suggestive"][state] == "paused") == (state == "paused")


@pytest.mark.parametrize("state", [state for state in STATES if state != "paused"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_who_may_not_be_paused_is_throttled(state: FunderStateName, strength: Strength) -> None:
    """The ladder pauses nobody by itself then."""
    follows = after_alarm(state, strength, may_pause=False)
    assert follows != "paused"
    assert follows == "throttled" or ALARM[strength][state] == follows


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_paused_funder_stays_paused(strength: Strength) -> None:
    """Also when no more may be paused."""
    assert after_alarm("paused", strength, may_pause=False) == "paused"


@pytest.mark.parametrize("state", STATES)
def test_calm_leads_back_to_normal(state: FunderStateName) -> None:
    """In two steps at most, and from a pause by way of a probe."""
    assert CALM[CALM[state]] == "normal"
    assert CALM["paused"] == "probing"
