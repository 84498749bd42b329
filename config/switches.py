"""Kill switches: the active revision with one thing changed, at once and without a review.

The contradictions of `config.checks` are not asked for: a switch is thrown in an emergency, and that the other
funders can not meet a share cap alone must not keep a funder in. The rules that cannot be met are relaxed then, as
ever. Each function gives the next revision, or the reason why there is none.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec

from config.document import read_json
from config.revisions import revision_of
from config.rotation import Revision, Rotation, RuleName

_RULES = get_args(RuleName)


def with_status(active: Revision, funder_id: str, status: Literal["active", "paused"]) -> Revision | str:
    """The next revision, in which the funder has this status."""
    funders = list(active.config.funders)
    place = next((n for n, funder in enumerate(funders) if funder.id == funder_id), None)
    if place is None:
        return f"revision {active.id} has no funder {funder_id}; it has {', '.join(funder.id for funder in funders)}"
    if funders[place].status == status:
        return f"{funder_id} is {status} already"
    funders[place] = msgspec.structs.replace(funders[place], status=status)
    document = read_json(active.canonical)
    document["funders"][place]["status"] = status
    return revision_of(active.id + 1, document, msgspec.structs.replace(active.config, funders=funders))


def rotation_off(active: Revision) -> Revision | str:
    """The next revision, without rotation rules: a choice by weight among those that the hard rules leave."""
    if not rotates(active):
        return f"revision {active.id} has no rotation rules: rotation is off already"
    return _with_rules(active, {"relax_order": []})


def rotation_on(revisions: Sequence[Revision]) -> Revision | str:
    """The next revision, with the rotation rules of the newest one that had any. The last of `revisions` is active."""
    active = revisions[-1]
    if rotates(active):
        return f"revision {active.id} has rotation rules: rotation is on already"
    last = next((revision for revision in reversed(revisions) if rotates(revision)), None)
    if last is None:
        return "no revision ever had rotation rules: propose some"
    rules = read_json(last.canonical)["rotation"]
    del rules["min_live_grants"]
    return _with_rules(active, rules)


def _with_rules(active: Revision, rules: dict[str, Any]) -> Revision:
    document = read_json(active.canonical)
    document["rotation"] = {"min_live_grants": document["rotation"]["min_live_grants"], **rules}
    rotation = msgspec.convert(document["rotation"], Rotation)
    return revision_of(active.id + 1, document, msgspec.structs.replace(active.config, rotation=rotation))


def rotates(revision: Revision) -> bool:
    """Whether the revision has rotation rules."""
    return any(getattr(revision.config.rotation, rule) is not None for rule in _RULES)
