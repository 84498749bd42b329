"""The life of a configuration: what the records of `rotation-config` make of one another, in their order.

A person proposes a draft, another one approves it, and it is activated; or somebody goes back to an earlier revision,
pauses a funder or switches rotation off. Each of these is a record, and the log of them is the audit trail. A record
that breaks a rule is refused by every reader alike and changes nothing, so of two people who act at the same time the
one whose record came first counts, and the other is told: a draft, an approval, an activation and a rollback name the
revision and the content that their author saw.

An activation may be for a time to come: its revision has a number at once, and holds for what is decided at that stream
time or later. A record signed before that time may withdraw it, and makes it void by making another revision active:
what it was approved on has changed.

A whole revision may also be published directly (`config.revisions`); who may do that is for the broker to decide.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from config.problems import ConfigError, Finding
from config.ramps import objection
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
from config.revisions import RevisionRecord, apply_record, check_content, refused, rfc3339
from config.rotation import Revision
from config.switches import rotation_off, rotation_on, with_status

#: How far ahead an activation may be.
AHEAD_AT_MOST = timedelta(days=90)


class Draft(msgspec.Struct, frozen=True):
    """A proposed revision, made from the revision `base`, and who wrote and approved it.

    `authors` wrote a version of it, the last one last; `approvals` are of the last version.
    """

    id: str
    base: int
    revision: Revision
    reason: str
    authors: tuple[str, ...]
    approvals: tuple[str, ...] = ()


class Scheduled(msgspec.Struct, frozen=True):
    """An activation that waits for its time: the draft, which is open until then, and the revision that it becomes.

    `since` is the stream time from which it holds for everybody; `steps` are those, if any, from which it holds for a
    share of the borrowers (%).
    """

    draft: str
    revision: int
    since: datetime
    steps: tuple[tuple[datetime, int], ...] = ()


class Holding(msgspec.Struct, frozen=True):
    """A revision, and since which stream time it holds for a share of the borrowers (%)."""

    revision: Revision
    since: datetime = datetime.min.replace(tzinfo=UTC)
    share: int = 100


class Lifecycle(msgspec.Struct, frozen=True):
    """What stands after the records so far: every revision by its id (from 1, without gaps), and the open drafts.

    `closed` are the ids of drafts that were activated or withdrawn. `timed` are the activations at a time, or by steps,
    by the revision that they made; `void` are those that were withdrawn or overtaken before it.
    """

    revisions: Mapping[int, Revision] = {}
    drafts: Mapping[str, Draft] = {}
    closed: frozenset[str] = frozenset()
    timed: Mapping[int, Scheduled] = {}
    void: frozenset[int] = frozenset()
    scheduled: Scheduled | None = None

    @property
    def active(self) -> Revision | None:
        """The newest revision that is neither void nor waits for its time."""
        return next(reversed(self.past), None)

    @property
    def past(self) -> list[Revision]:
        """Every revision that was active, the active one last."""
        waits = 0 if self.scheduled is None else self.scheduled.revision
        return [self.revisions[id_] for id_ in sorted(self.revisions) if id_ not in self.void and id_ != waits]

    @property
    def following(self) -> int:
        """The id of the next revision."""
        return len(self.revisions) + 1

    def at(self, now: datetime) -> "Lifecycle":
        """What stands at `now`, when no further record comes until then."""
        if self.scheduled is None or now < self.scheduled.since:
            return self
        return _closed(msgspec.structs.replace(self, scheduled=None), self.scheduled.draft)

    def plan(self) -> list[Holding]:
        """Which revision holds from which stream time, in order of time; the first one always held.

        What was made active at once holds as soon as its record is known, whatever the time.
        """
        found: list[Holding] = []
        for id_ in sorted(self.revisions.keys() - self.void, reverse=True):
            revision, timed = self.revisions[id_], self.timed.get(id_)
            if timed is None:
                return [Holding(revision), *found]
            steps = [Holding(revision, since, share) for since, share in timed.steps]
            found = [*steps, Holding(revision, timed.since), *found]
        return found


class Entry(msgspec.Struct, frozen=True):
    """A record of the log: where it stands, what it says (None: unreadable), and what came of it.

    `revision` is the id of the revision that it made active, at once or at a time; `refused` why it counts for nothing;
    `void` the id of a revision that was to become active later, and will not.
    """

    offset: int
    record: Record | None
    revision: int | None = None
    refused: str | None = None
    void: int | None = None


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
    made = len(following.revisions) if len(following.revisions) > len(state.revisions) else None
    return following, Entry(offset, record, made, void=next(iter(following.void - state.void), None))


def advance(state: Lifecycle, raw: bytes) -> Lifecycle:
    """What stands after one more record.

    Raises:
        ConfigError: the record is broken or breaks a rule; then `state` stands.
    """
    record = read(raw)
    state = state.at(record.occurred_at)
    match record:
        case RevisionRecord():
            revision = apply_record(state.active, raw, state.following)
            return state if revision is state.active else _activated(state, revision)
        case Proposal():
            return _proposed(state, record)
        case Approval():
            return _approved(state, record)
        case Activation():
            draft = _reviewed(state, record)
            if not draft.approvals:
                raise _broken("draft", f"{draft.id} needs the approval of somebody who did not write it")
            if record.at is not None or record.ramp is not None:
                return _scheduled(state, draft, record)
            return _closed(_activated(state, draft.revision), draft.id)
        case Withdrawal():
            draft = _open(state, record.draft)
            if state.scheduled is not None and state.scheduled.draft == draft.id:
                state = _overtaken(state)
            return _closed(state, draft.id)
        case Rollback():
            active = _unmoved(state, record.base)
            if record.to >= active.id:
                raise _broken("to", f"must be a revision before {active.id}, the active one, but is {record.to}")
            if record.to in state.void:
                raise _broken("to", f"revision {record.to} never was active: it was given up before its time")
            return _activated(state, state.revisions[record.to])
        case FunderSwitch():
            status: Literal["active", "paused"] = "paused" if record.kind == "pause" else "active"
            return _switched(state, "funder_id", with_status(_active(state), record.funder_id, status))
        case RotationSwitch(kind="rotation_off"):
            return _switched(state, "kind", rotation_off(_active(state)))
        case _:
            _active(state)
            return _switched(state, "kind", rotation_on(state.past))


def _proposed(state: Lifecycle, record: Proposal) -> Lifecycle:
    active = _unmoved(state, record.base)
    if record.draft in state.closed:
        raise _broken("draft", f"{record.draft} was activated or withdrawn already; give the draft another id")
    if state.scheduled is not None and state.scheduled.draft == record.draft:
        raise _broken("draft", f"{_waits(state.scheduled)}: activate it now or withdraw it")
    revision, findings = check_content(state.following, record.config, record.config_sha256)
    if findings:
        raise refused(findings)
    earlier = state.drafts.get(record.draft)
    if record.replaces is not None and record.replaces != ("" if earlier is None else earlier.revision.sha256):
        stands = "is no draft" if earlier is None else f"now has the hash {earlier.revision.sha256}"
        raise _broken("replaces", f"somebody else was first: {record.draft} {stands}; look at it again")
    before = () if earlier is None else tuple(each for each in earlier.authors if each != record.author)
    draft = Draft(record.draft, active.id, revision, record.reason, (*before, record.author))
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
    """The revision is the next one, at once; one that waits for its time was approved on another base."""
    state = _overtaken(state)
    revision = msgspec.structs.replace(revision, id=state.following)
    return msgspec.structs.replace(state, revisions={**state.revisions, revision.id: revision})


def _scheduled(state: Lifecycle, draft: Draft, record: Activation) -> Lifecycle:
    now, begins = record.occurred_at, record.at or record.occurred_at
    if state.scheduled is not None:
        raise _broken("at", f"{_waits(state.scheduled)}: only one activation can wait for its time")
    since, steps = begins, []
    if record.ramp is not None:
        if (why := objection(_active(state), draft.revision, record.ramp)) is not None:
            raise _broken("ramp", why)
        every = timedelta(seconds=record.ramp.every_seconds)
        *steps, (since, _) = [(begins + n * every, share) for n, share in enumerate(record.ramp.shares)]
    if begins < now or not now < since <= now + AHEAD_AT_MOST:
        most = f"and by at most {AHEAD_AT_MOST.days} days"
        raise _broken("at", f"must be later than {rfc3339(now)}, {most}, but is {rfc3339(since)}")
    revision = msgspec.structs.replace(draft.revision, id=state.following)
    scheduled = Scheduled(draft.id, revision.id, since, tuple(steps))
    return msgspec.structs.replace(
        state,
        revisions={**state.revisions, revision.id: revision},
        timed={**state.timed, revision.id: scheduled},
        scheduled=scheduled,
    )


def _overtaken(state: Lifecycle) -> Lifecycle:
    """The revision that waits for its time, if one does, never becomes active."""
    if state.scheduled is None:
        return state
    return msgspec.structs.replace(state, void=state.void | {state.scheduled.revision}, scheduled=None)


def _waits(scheduled: Scheduled) -> str:
    return f"{scheduled.draft} waits for {rfc3339(scheduled.since)}, to become revision {scheduled.revision}"


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
