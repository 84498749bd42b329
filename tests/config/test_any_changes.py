"""Whatever people do in whatever order, the life cycle of the configuration keeps its laws.

Invariant: after any records, the revisions are numbered 1, 2, 3 … and never change; one record makes at most one; each
that came of a draft was proposed on the revision active when it was activated and approved, after its last edit, by
somebody who wrote none of its versions; what is refused changes nothing; every switch gives the configuration of its
own document; what is void stays so and never holds; at most one waits for its time, and it holds from then on.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from config.lifecycle import Draft, Lifecycle, advance
from config.problems import ConfigError
from config.records import Activation, Approval, Proposal, Ramp, Record, encode
from config.rotation import RotationConfig
from tests.config.changes import (
    AT,
    SHA256,
    activate,
    active,
    after,
    approve,
    document,
    pause,
    propose,
    resume,
    roll_back,
    switch_rotation,
    withdraw,
)

Move = Callable[[Lifecycle], Record]
#: When every ramp of a story has come to its end: it begins within nine hours, and has two steps of nine hours to go.
AFTERWARDS = AT + timedelta(hours=27)

people, drafts, versions = st.sampled_from(["wei", "li", "ming"]), st.sampled_from("de"), st.integers(0, 1)
funders = st.sampled_from(["cf-west", "trust-south"])


def proposing(author: str, draft: str, version: int, late: bool) -> Move:
    """Propose on the active revision, or on the one before it when that is `late`."""
    return lambda state: propose(author, version, active(state).id - late or 1, draft)


def reviewing(make: Callable[..., Record], author: str, draft: str, other: tuple[int, int] | None) -> Move:
    """Approve or activate a draft as it stands, or what somebody saw earlier: this `other` version and base."""

    def move(state: Lifecycle) -> Record:
        there = state.drafts.get(draft)
        if other is None and there is not None:
            return make(author, SHA256.index(there.revision.sha256), there.base, draft)
        return make(author, *(other or (0, 1)), draft)

    return move


def scheduling(author: str, draft: str, hours: int) -> Move:
    """Activate a draft as it stands, so many hours after the day's beginning."""
    return reviewing(partial(activate, at=AT + timedelta(hours=hours)), author, draft, None)


def ramping(author: str, draft: str, hours: int) -> Move:
    """Activate a draft as it stands by steps of so many hours."""
    return reviewing(partial(activate, ramp=Ramp([10, 50, 100], 3600 * max(hours, 1))), author, draft, None)


def later(move: Move, hours: int) -> Move:
    """The same, signed so many hours after the day's beginning."""
    return lambda state: msgspec.structs.replace(move(state), occurred_at=AT + timedelta(hours=hours))


def anyhow(record: Record) -> Move:
    """The record, whatever stands."""
    return lambda state: record


late = st.sampled_from([False] * 5 + [True])
seen_otherwise = st.sampled_from([None] * 5 + [(0, 1), (1, 2)])
switches = st.one_of(
    st.builds(roll_back, st.integers(1, 3), st.integers(1, 4)),
    st.builds(pause, funders),
    st.builds(resume, funders),
    st.builds(switch_rotation, on=st.booleans()),
)
#: What people seldom come to by chance.
approved = [proposing("wei", "d", 0, False), reviewing(approve, "li", "d", None)]
beginnings: st.SearchStrategy[list[Move]] = st.sampled_from(
    [[], approved, [*approved, scheduling("wei", "d", 9)], [*approved, ramping("wei", "d", 2)]]
)
moves = st.lists(
    st.one_of(
        st.builds(proposing, people, drafts, versions, late),
        st.builds(reviewing, st.just(approve), people, drafts, seen_otherwise),
        st.builds(reviewing, st.just(approve), people, drafts, seen_otherwise),
        st.builds(reviewing, st.just(activate), people, drafts, seen_otherwise),
        st.builds(anyhow, st.builds(withdraw, people, drafts) | switches),
        st.builds(later, st.builds(scheduling, people, drafts, st.integers(0, 9)), st.integers(0, 9)),
        st.builds(later, st.builds(ramping, people, drafts, st.integers(0, 9)), st.integers(0, 9)),
        st.builds(later, st.builds(anyhow, switches | st.builds(withdraw, people, drafts)), st.integers(0, 9)),
    ),
    min_size=10,
    max_size=40,
)


class Witness:
    """Who proposed and approved what, noted from the records that counted and from nothing else."""

    def __init__(self) -> None:
        self.versions: dict[str, list[Proposal]] = {}
        self.approvals: dict[str, list[Approval]] = {}

    def note(self, record: Record) -> None:
        """Note a record that counted."""
        if isinstance(record, Proposal):
            self.versions.setdefault(record.draft, []).append(record)
            self.approvals[record.draft] = []
        elif isinstance(record, Approval):
            assert record.author not in {version.author for version in self.versions[record.draft]}
            self.approvals[record.draft].append(record)


@given(st.builds(list.__add__, beginnings, moves))
def test_the_laws_hold(story: list[Move]) -> None:
    """A witness that knows nothing of the fold agrees with all that it lets pass."""
    state, witness = after(), Witness()
    for move in story:
        before, record = state, move(state)
        try:
            state = advance(before, encode(record))
        except ConfigError:
            continue
        stood = before.at(record.occurred_at)
        made = [state.revisions[id_] for id_ in state.revisions.keys() - before.revisions.keys()]
        assert {id_: state.revisions[id_] for id_ in before.revisions} == before.revisions
        assert list(state.revisions) == list(range(1, len(before.revisions) + len(made) + 1))
        if isinstance(record, Activation):
            version = witness.versions[record.draft][-1]
            (revision,) = made
            assert (active(stood).id, revision.sha256) == (version.base, version.config_sha256)
            timed = state.timed.get(revision.id)
            assert (None if timed is None or timed.steps else timed.since) == record.at
            assert witness.approvals[record.draft]
            assert all(each.config_sha256 == version.config_sha256 for each in witness.approvals[record.draft])
        else:
            assert len(made) == (record.kind not in ("propose", "approve", "withdraw"))
        witness.note(record)
        assert before.void <= state.void
        assert state.void - before.void <= {stood.scheduled.revision if stood.scheduled else 0}
        plan = state.plan()
        assert not state.void & {each.revision.id for each in plan}
        assert [each.since for each in plan] == sorted(each.since for each in plan)
        assert plan[-1].revision.id == active(state.at(AFTERWARDS)).id
        assert all(_is_sound(state, draft) for draft in state.drafts.values())
    rules = active(after()).config.rotation
    for revision in state.revisions.values():
        assert revision.config.rotation in (rules, _without_rules(revision.config))
        assert msgspec.convert(document(revision), RotationConfig) == revision.config


def _is_sound(state: Lifecycle, draft: Draft) -> bool:
    return draft.revision.sha256 in SHA256 and draft.id not in state.closed


def _without_rules(config: RotationConfig) -> object:
    return type(config.rotation)(relax_order=[], min_live_grants=3)
