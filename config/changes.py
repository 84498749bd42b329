"""The records that people's wishes make of what stands: the command line and the console write the same.

Whether a record counts is not judged here, but by every reader of the log (`config.lifecycle`).
"""

from datetime import datetime
from typing import Any, NamedTuple

from config.document import read_json
from config.lifecycle import Lifecycle
from config.records import Activation, Approval, Proposal, Ramp, Rollback
from config.rotation import Revision


class NothingToChange(Exception):
    """What was asked for is not there to be changed; the message says what is."""


class Signature(NamedTuple):
    """Who writes a record, why, and when (with zone). Where `reason` is None it is the draft's."""

    author: str
    reason: str | None
    at: datetime

    def fields(self, otherwise: str = "") -> dict[str, Any]:
        """The fields of a record that say so."""
        return {"author": self.author, "reason": self.reason or otherwise, "occurred_at": self.at}


def proposal(
    state: Lifecycle,
    proposed: Revision,
    signature: Signature,
    *,
    draft: str | None = None,
    base: int | None = None,
    replaces: str | None = None,
) -> Proposal:
    """The draft with the content of `proposed`, made from revision `base`, by default the active one.

    `replaces` is the hash of the version that was edited, empty where there was none; None for whichever stands.
    """
    on = base or (0 if state.active is None else state.active.id)
    return Proposal(
        **signature.fields(),
        draft=draft or f"r{on + 1}-{proposed.sha256[:8]}",
        base=on or 1,
        config=read_json(proposed.canonical),
        config_sha256=proposed.sha256,
        replaces=replaces,
    )


def approval(state: Lifecycle, draft_id: str, signature: Signature, *, sha256: str = "") -> Approval:
    """The approval of an open draft, whose hash began with `sha256` when its author saw it.

    Raises:
        NothingToChange: there is no such open draft, or it has another hash.
    """
    return Approval(**_seen(state, draft_id, signature, sha256))


def activation(
    state: Lifecycle,
    draft_id: str,
    signature: Signature,
    *,
    sha256: str = "",
    at: datetime | None = None,
    ramp: Ramp | None = None,
) -> Activation:
    """The activation of such a draft, at once or at a time (with zone), for all or by steps; raises as `approval`."""
    return Activation(**_seen(state, draft_id, signature, sha256), at=at, ramp=ramp)


def _seen(state: Lifecycle, draft_id: str, signature: Signature, sha256: str) -> dict[str, Any]:
    """The fields of a record about an open draft as its author saw it."""
    draft = state.drafts.get(draft_id)
    if draft is None:
        open_ones = ", ".join(state.drafts) or "none is"
        raise NothingToChange(f"{draft_id} is no open draft; open: {open_ones}")
    if not draft.revision.sha256.startswith(sha256):
        has = f"{draft_id} has the hash {draft.revision.sha256}, not {sha256}"
        raise NothingToChange(f"{has}; it may have been edited since")
    seen = {"draft": draft.id, "base": draft.base, "config_sha256": draft.revision.sha256}
    return {**signature.fields(draft.reason), **seen}


def rollback(state: Lifecycle, signature: Signature, to: int | None = None) -> Rollback:
    """The return to revision `to`, by default the one before the active one.

    Raises:
        NothingToChange: there is none before it, or a draft is on its way, and it is not said what is meant.
    """
    if to is None and state.scheduled is not None:
        draft = state.scheduled.draft
        raise NothingToChange(f"{draft} is not active for all yet: withdraw it, or name the revision to go back to")
    past = [revision.id for revision in state.past] or [1]
    if to is None and past == [1]:
        raise NothingToChange("revision 1 is active: there is none before it")
    return Rollback(**signature.fields(), base=past[-1], to=to or past[-2])
