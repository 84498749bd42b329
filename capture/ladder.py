"""The response ladder, as tables: what an alarm does to a funder, and what calm does.

A suggestive alarm (fewer borrowers pass) has other explanations: a price, tighter credit, an outage. So it only
has people look. Direct evidence takes traffic away. Nobody is paused by the ladder alone while
`pause_needs_approval` is set, nor when too many are paused already: else a fault of ours would stop everybody.
"""

from typing import Literal

from rotation.outputs import FunderStateName

Strength = Literal["suggestive", "direct"]

#: Where an alarm leads.
ALARM: dict[Strength, dict[FunderStateName, FunderStateName]] = {
    "suggestive": {
        "normal": "watch",
        "watch": "watch",
        "throttled": "throttled",
        "paused": "paused",
        "probing": "throttled",
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
    """Where an alarm leads from `state`; a funder that may not be paused is throttled instead."""
    follows = ALARM[strength][state]
    return "throttled" if follows == "paused" and state != "paused" and not may_pause else follows
