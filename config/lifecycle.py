"""The life of a configuration: what the records of `rotation-config` make of one another, in their order.

A person proposes a draft, another one approves it, and it is activated; or somebody goes back to an earlier revision,
pauses a funder or switches rotation off. Each of these is a record, and the log of them is the audit trail. A record
that breaks a rule is refused by every reader alike and changes nothing, so of two people who act at the same time the
one whose record came first counts, and the other is told: a draft, an approval, an activation and a rollback name the
revision and the content that their author saw.

A whole revision may also be published directly (`config.revisions`); who may do that is for the broker to decide.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from config.problems import ConfigError, Finding
from config.records import (
    Activation,
    Approval,
    FunderSwitch,
    Proposal,
    Record,
    Reviewing,
    Rollback,
    RotationSwitch,
    Withdrawal,
    read,
)
from config.revisions import RevisionRecord, apply_record, check_content, refused
from config.rotation import Revision
from config.switches import rotation_off, rotation_on, with_status


class Draft(msgspec.Struct, frozen=True):
    """A proposed revision, whose number is the one after its base, and who wrote and approved it.

    `authors` wrote a version of it, the last one last; `approvals` are of the last version.
    """

    id: str
    revision: Revision
    reason: str
    authors: tuple[str, ...]
    approvals: tuple[str, ...] = ()

    @property
    def base(self) -> int:
        """The id of the revision from which it was made."""
        return self.revision.id - 1


class Lifecycle(msgspec.Struct, frozen=True):
    """What stands after the records so far: every revision by its id (from 1, without gaps), and the open drafts.

    `closed` are the ids of drafts that were activated or withdrawn.
    """

    revisions: Mapping[int, Revision] = {}
    drafts: Mapping[str, Draft] = {}
    closed: frozenset[str] = frozenset()

    @property
    def active(self) -> Revision | None:
        """The newest revision."""
        return self.revisions.get(len(self.revisions))


class Entry(msgspec.Struct, frozen=True):
    """A record of the log: where it stands, what it says (None: unreadable), and what came of it.

    `revision` is the id of the revision that it made active; `refused` why it counts for nothing.
    """

    offset: int
    record: Record | None
    revision: int | None = None
    refused: str | None = None


def history(records: Iterable[tuple[int, bytes]]) -> tuple[Lifecycle, list[Entry]]:
    """What stands after the log (offsets and values, from its beginning), and each record with what came of it."""
    state = Lifecycle()
    entries: list[Entry] = []
    for offset, raw in records:
        state, entry = step(state, offset, raw)
        entries.append(entry)
    return state, entries


def step(state: Lifecycle, offset: int, raw: bytes) -> tuple[Lifecycle, Entry]:
    """What stands after one more record, broken or not, and what came of it."""
    record: Record | None = None
    try:
        record = read(raw)
        following = advance(state, raw)
    except ConfigError as error:
        return state, Entry(offset, record, refused=str(error))
    made = following.active if following.active is not state.active else None
    return following, Entry(offset, record, None if made is None else made.id)


def advance(state: Lifecycle, raw: bytes) -> Lifecycle:
    """What stands after one more record.

    Raises:
        ConfigError: the record is broken or breaks a rule; then `state` stands.
    """
    record = read(raw)
    match record:
        case RevisionRecord():
            revision = apply_record(state.active, raw)
            return state if revision is state.active else _activated(state, revision)
        case Proposal():
            return _proposed(state, record)
        case Approval():
            return _approved(state, record)
        case Activation():
            draft = _reviewed(state, record)
            if not draft.approvals:
                raise _broken("draft", f"{draft.id} needs the approval of somebody who did not write it")
            return _closed(_activated(state, draft.revision), draft.id)
        case Withdrawal():
            return _closed(state, _open(state, record.draft).id)
        case Rollback():
            active = _unmoved(state, record.base)
            if record.to >= active.id:
                raise _broken("to", f"must be a revision before {active.id}, the active one, but is {record.to}")
            return _activated(state, msgspec.structs.replace(state.revisions[record.to], id=active.id + 1))
        case FunderSwitch():
            status: Literal["active", "paused"] = "paused" if record.kind == "pause" else "active"
            return _switched(state, "funder_id", with_status(_active(state), record.funder_id, status))
        case RotationSwitch(kind="rotation_off"):
            return _switched(state, "kind", rotation_off(_active(state)))
        case _:
            _active(state)
            return _switched(state, "kind", rotation_on([state.revisions[id_] for id_ in sorted(state.revisions)]))


def _proposed(state: Lifecycle, record: Proposal) -> Lifecycle:
    active = _unmoved(state, record.base)
    if record.draft in state.closed:
        raise _broken("draft", f"{record.draft} was activated or withdrawn already; give the draft another id")
    revision, findings = check_content(active.id + 1, record.config, record.config_sha256)
    if findings:
        raise refused(findings)
    earlier = state.drafts.get(record.draft)
    if record.replaces is not None and record.replaces != ("" if earlier is None else earlier.revision.sha256):
        stands = "is no draft" if earlier is None else f"now has the hash {earlier.revision.sha256}"
        raise _broken("replaces", f"somebody else was first: {record.draft} {stands}; look at it again")
    before = () if earlier is None else tuple(each for each in earlier.authors if each != record.author)
    draft = Draft(record.draft, revision, record.reason, (*before, record.author))
    return msgspec.structs.replace(state, drafts={**state.drafts, draft.id: draft})


def _approved(state: Lifecycle, record: Approval) -> Lifecycle:
    draft = _reviewed(state, record)
    if _is_among(record.author, draft.authors):
        raise _broken("author", f"{record.author} wrote {draft.id}; somebody else has to approve it")
    if _is_among(record.author, draft.approvals):
        raise _broken("author", f"{record.author} approved {draft.id} already")
    draft = msgspec.structs.replace(draft, approvals=(*draft.approvals, record.author))
    return msgspec.structs.replace(state, drafts={**state.drafts, draft.id: draft})


def _reviewed(state: Lifecycle, record: Reviewing) -> Draft:
    """The draft of the record, as its author saw it, on a base that did not move."""
    draft = _open(state, record.draft)
    if (record.base, record.config_sha256) != (draft.base, draft.revision.sha256):
        raise _broken("config_sha256", f"{draft.id} was edited since: it now has the hash {draft.revision.sha256}")
    _unmoved(state, draft.base)
    return draft


def _open(state: Lifecycle, draft_id: str) -> Draft:
    if draft_id not in state.drafts:
        why = "was activated or withdrawn already" if draft_id in state.closed else "is no draft"
        raise _broken("draft", f"{draft_id} {why}")
    return state.drafts[draft_id]


def _active(state: Lifecycle) -> Revision:
    if state.active is None:
        raise _broken("", "there is no revision yet: the first worker to start makes one of its configuration file")
    return state.active


def _unmoved(state: Lifecycle, base: int) -> Revision:
    active = _active(state)
    if base != active.id:
        raise _broken("base", f"made for revision {base}, but {active.id} is active now")
    return active


def _switched(state: Lifecycle, key: str, switched: Revision | str) -> Lifecycle:
    if isinstance(switched, str):
        raise _broken(key, switched)
    return _activated(state, switched)


def _activated(state: Lifecycle, revision: Revision) -> Lifecycle:
    return msgspec.structs.replace(state, revisions={**state.revisions, revision.id: revision})


def _closed(state: Lifecycle, draft_id: str) -> Lifecycle:
    drafts = {id_: draft for id_, draft in state.drafts.items() if id_ != draft_id}
    return msgspec.structs.replace(state, drafts=drafts, closed=state.closed | {draft_id})


def _is_among(person: str, people: Iterable[str]) -> bool:
    """Whether it is one of them: another way to write the same name makes nobody another person."""
    return _folded(person) in map(_folded, people)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _broken(key: str, reason: str) -> ConfigError:
    return refused([Finding((key,) if key else (), reason)])
