"""The response ladder, as tables: what an alarm does to a funder, and what calm does.

A suggestive alarm (fewer borrowers pass) has other explanations: a price, tighter credit, an outage. So it only
has people look. Direct evidence takes traffic away. Nobody is paused by the ladder alone while
`pause_needs_approval` is set, nor when too many are paused already: else a fault of ours would stop everybody. No
alarm gives a funder more traffic.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from config.rotation import Ladder, RotationConfig
from rotation.clock import rfc3339
from rotation.outputs import FunderState, FunderStateName

Strength = Literal["suggestive", "direct"]

#: Where an alarm leads.
ALARM: dict[Strength, dict[FunderStateName, FunderStateName]] = {
    "suggestive": {
        "normal": "watch",
        "watch": "watch",
        "throttled": "throttled",
        "paused": "paused",
        "probing": "probing",
    },
    "direct": {
        "normal": "throttled",
        "watch": "throttled",
        "throttled": "paused",
        "paused": "paused",
        "probing": "paused",
    },
}
#: Where `calm_days` without an alarm lead.
CALM: dict[FunderStateName, FunderStateName] = {
    "normal": "normal",
    "watch": "normal",
    "throttled": "normal",
    "paused": "probing",
    "probing": "normal",
}


def after_alarm(state: FunderStateName, strength: Strength, *, may_pause: bool) -> FunderStateName:
    """Where an alarm leads from `state`; a funder that may not be paused stays where it is."""
    follows = ALARM[strength][state]
    return state if follows == "paused" and not may_pause else follows


def multiplier(state: FunderStateName, ladder: Ladder) -> float:
    """The share of its weight that a funder keeps on a step."""
    return 1.0 if state == "normal" else getattr(ladder.traffic_multiplier, state)


def pause_allowed(funder_id: str, config: RotationConfig, states: Mapping[str, FunderState]) -> bool:
    """Whether so few of the other funders are paused, by configuration or as of `states`, that this one may be."""
    others = [funder for funder in config.funders if funder.id != funder_id]
    paused = sum(funder.status == "paused" or (funder.id in states and states[funder.id].stopped) for funder in others)
    return paused + 1 <= config.capture.ladder.paused_at_most * len(config.funders)


def moved(state: FunderState, to: FunderStateName, cause: str, ladder: Ladder, now: int) -> FunderState:
    """The funder on another step since `now` (ms); all else as it was."""
    traffic = multiplier(to, ladder)
    return msgspec.structs.replace(state, state=to, traffic_multiplier=traffic, since=rfc3339(now), cause=cause)
