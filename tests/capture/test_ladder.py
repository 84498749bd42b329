"""Law: alarms only harden the ladder, calm only softens it, and from each step calm leads back to normal."""

from typing import get_args

import msgspec
import pytest

from capture.ladder import ALARM, CALM, Strength, after_alarm, multiplier, pause_allowed
from config import checks
from config.rotation import TrafficMultiplier
from rotation.outputs import FunderState, FunderStateName
from tests.rotation.world import FUNDERS, configuration, funder_state

STATES: tuple[FunderStateName, ...] = get_args(FunderStateName)
STRENGTHS: tuple[Strength, ...] = get_args(Strength)
CONFIG = configuration()
#: As `config/checks.py` lets them stand: from step to step less traffic, or as much.
MULTIPLIERS = [
    CONFIG.capture.ladder.traffic_multiplier,
    TrafficMultiplier(watch=1.0, throttled=1.0, probing=1.0, paused=0.0),
    TrafficMultiplier(watch=0.9, throttled=0.6, probing=0.3, paused=0.0),
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("may_pause", [True, False])
@pytest.mark.parametrize("traffic", MULTIPLIERS)
def test_an_alarm_never_gives_traffic(
    state: FunderStateName, strength: Strength, may_pause: bool, traffic: TrafficMultiplier
) -> None:
    """From every step, whether or not a pause is allowed, it leads to one that lets no more through."""
    assert not list(checks.ladder_turned_round(traffic))
    ladder = msgspec.structs.replace(CONFIG.capture.ladder, traffic_multiplier=traffic)
    follows = after_alarm(state, strength, may_pause=may_pause)
    assert multiplier(follows, ladder) <= multiplier(state, ladder)
    assert follows != "normal"


@pytest.mark.parametrize("state", STATES)
def test_a_suggestive_alarm_takes_no_traffic_from_an_honest_funder(state: FunderStateName) -> None:
    """Fewer loans alone have people look: nobody is throttled or paused who was not before."""
    if state in ("normal", "watch"):
        assert ALARM["suggestive"][state] == "watch"
    assert (ALARM["suggestive"][state] == "paused") == (state == "paused")


@pytest.mark.parametrize("state", ["throttled", "probing"])
def test_who_may_not_be_paused_stays(state: FunderStateName) -> None:
    """Where direct evidence asks for a pause, which the ladder does not make by itself then."""
    assert after_alarm(state, "direct", may_pause=True) == "paused"
    assert after_alarm(state, "direct", may_pause=False) == state


def test_a_probe_goes_on_under_a_suggestive_alarm() -> None:
    """Fewer loans alone end no probe: it lets next to nobody through already."""
    assert after_alarm("probing", "suggestive", may_pause=True) == "probing"


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_paused_funder_stays_paused(strength: Strength) -> None:
    """Also when no more may be paused."""
    assert after_alarm("paused", strength, may_pause=False) == "paused"


@pytest.mark.parametrize("state", STATES)
def test_calm_leads_back_to_normal(state: FunderStateName) -> None:
    """In two steps at most, and from a pause by way of a probe."""
    assert CALM[CALM[state]] == "normal"
    assert CALM["paused"] == "probing"


@pytest.mark.parametrize(
    ("status", "states", "allowed"),
    [
        ("active", [], True),
        ("active", [funder_state("bank-east", "paused", 0.0)], True),
        ("active", [funder_state("bank-east", "throttled", 0.0)], True),
        ("active", [funder_state(name, "paused", 0.0) for name in ("bank-east", "cf-north")], False),
        ("active", [funder_state("bank-east", "throttled", 0.0), funder_state("cf-north", "paused", 0.0)], False),
        ("active", [funder_state("bank-east", "paused", 0.0), funder_state("cf-west", "paused", 0.0)], True),
        ("active", [funder_state("bank-east", "paused", 0.0), funder_state("gone", "paused", 0.0)], True),
        ("paused", [], True),
        ("paused", [funder_state("cf-north", "paused", 0.0)], False),
        ("paused", [funder_state("bank-east", "paused", 0.0)], True),
    ],
)
def test_no_more_than_half_of_the_funders_are_paused(status: str, states: list[FunderState], allowed: bool) -> None:
    """Of four, by the configuration, by the ladder or without traffic: each once, not the accused, and no stranger."""
    config = configuration({"capture.ladder.paused_at_most": 0.5, "funders.bank-east.status": status})
    assert len(config.funders) == len(FUNDERS) == 4
    assert pause_allowed("cf-west", config, {state.funder_id: state for state in states}) == allowed
