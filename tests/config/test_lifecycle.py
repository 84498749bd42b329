"""A draft becomes active only as somebody proposed it and somebody else approved it, on the revision it was made from.

A record that breaks this is refused and changes nothing. Of two people who act at once the first in the log counts.
"""

import msgspec
import pytest

from config.lifecycle import Lifecycle, history
from config.records import Record, encode
from tests.config.changes import (
    FIRST,
    SHA256,
    VERSIONS,
    activate,
    active,
    after,
    approve,
    document,
    pause,
    propose,
    refusal,
    resume,
    roll_back,
    switch_rotation,
    withdraw,
)
from tests.config.shipped import DOCUMENT, changed


def test_an_approved_draft_becomes_the_next_revision() -> None:
    """With its content, and the draft is closed."""
    state = after(propose("wei"), approve("li"), activate("wei"))

    assert (active(state).id, active(state).sha256) == (2, SHA256[0])
    assert active(state).config.funders[0].weight == 4
    assert (state.drafts, state.closed) == ({}, frozenset({"d"}))


def test_a_draft_tells_who_wrote_and_approved_it() -> None:
    """An edit adds its author, takes the approvals away and changes the reason to its own."""
    draft = after(propose("wei"), approve("li"), approve("ming")).drafts["d"]
    assert (draft.base, draft.authors, draft.approvals) == (1, ("wei",), ("li", "ming"))

    edited = after(propose("wei"), approve("li"), propose("ming", version=1)).drafts["d"]
    assert (edited.revision.sha256, edited.authors, edited.approvals) == (SHA256[1], ("wei", "ming"), ())


EDITED = (propose("wei"), approve("li"), propose("wei", version=1))
MOVED = (propose("wei"), approve("li"), pause("bank-east"))
REFUSED: dict[str, tuple[tuple[Record, ...], Record, tuple[str, str]]] = {
    "without approval": (
        (propose("wei"),),
        activate("wei"),
        ("draft", "d needs the approval of somebody who did not write it"),
    ),
    "the author approves": (
        (propose("wei"),),
        approve("wei"),
        ("author", "wei wrote d; somebody else has to approve it"),
    ),
    "the author under another spelling": (
        (propose("wei zhang"),),
        approve(" Ｗei  ZHANG"),
        ("author", " Ｗei  ZHANG wrote d; somebody else has to approve it"),
    ),
    "the author of an earlier version approves": (
        (propose("wei"), propose("li", version=1)),
        approve("wei", version=1),
        ("author", "wei wrote d; somebody else has to approve it"),
    ),
    "approved twice by one": ((propose("wei"), approve("li")), approve("li"), ("author", "li approved d already")),
    "the approval was of another version": (
        EDITED,
        activate("wei", version=1),
        ("draft", "d needs the approval of somebody who did not write it"),
    ),
    "an approval of what was edited since": (
        EDITED,
        approve("ming"),
        ("config_sha256", f"d was edited since: it now has the hash {SHA256[1]}"),
    ),
    "an activation of what was edited since": (
        (*EDITED, approve("li", version=1)),
        activate("wei"),
        ("config_sha256", f"d was edited since: it now has the hash {SHA256[1]}"),
    ),
    "activated on a moved base": (MOVED, activate("wei"), ("base", "made for revision 1, but 2 is active now")),
    "approved on a moved base": (MOVED, approve("ming"), ("base", "made for revision 1, but 2 is active now")),
    "proposed on a moved base": (MOVED, propose("ming"), ("base", "made for revision 1, but 2 is active now")),
    "proposed on what is not there yet": (
        (),
        propose("wei", base=2),
        ("base", "made for revision 2, but 1 is active now"),
    ),
    "an edit of what was edited since": (
        EDITED,
        propose("ming", replaces=SHA256[0]),
        ("replaces", f"somebody else was first: d now has the hash {SHA256[1]}; look at it again"),
    ),
    "a new draft under the id of an open one": (
        (propose("wei"),),
        propose("li", replaces=""),
        ("replaces", f"somebody else was first: d now has the hash {SHA256[0]}; look at it again"),
    ),
    "an edit of no draft": (
        (),
        propose("li", replaces=SHA256[0]),
        ("replaces", "somebody else was first: d is no draft; look at it again"),
    ),
    "an approval of no draft": ((), approve("li"), ("draft", "d is no draft")),
    "activated twice": (
        (propose("wei"), approve("li"), activate("wei")),
        activate("wei"),
        ("draft", "d was activated or withdrawn already"),
    ),
    "approved after it was withdrawn": (
        (propose("wei"), withdraw("wei")),
        approve("li"),
        ("draft", "d was activated or withdrawn already"),
    ),
    "the id of a closed draft": (
        (propose("wei"), withdraw("wei")),
        propose("wei"),
        ("draft", "d was activated or withdrawn already; give the draft another id"),
    ),
    "back to what is active": ((), roll_back(1, 1), ("to", "must be a revision before 1, the active one, but is 1")),
    "back to what never was": ((), roll_back(9, 1), ("to", "must be a revision before 1, the active one, but is 9")),
    "back over a revision not seen": (
        (pause("bank-east"), pause("cf-west")),
        roll_back(1, 2),
        ("base", "made for revision 2, but 3 is active now"),
    ),
    "pause of nobody": (
        (),
        pause("bank-east2"),
        ("funder_id", "revision 1 has no funder bank-east2; it has bank-east, cf-north, cf-west, trust-south"),
    ),
    "pause of a paused": ((pause("cf-west"),), pause("cf-west"), ("funder_id", "cf-west is paused already")),
    "resume of an active": ((), resume("cf-west"), ("funder_id", "cf-west is active already")),
    "rotation on twice": (
        (),
        switch_rotation(on=True),
        ("kind", "revision 1 has rotation rules: rotation is on already"),
    ),
    "rotation off twice": (
        (switch_rotation(on=False),),
        switch_rotation(on=False),
        ("kind", "revision 2 has no rotation rules: rotation is off already"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_breaks_a_rule_is_refused(name: str) -> None:
    """With the field and the reason."""
    before, record, why = REFUSED[name]

    assert refusal(after(*before), record) == why


ALL = [propose("wei"), pause("cf-west"), roll_back(1, 1), switch_rotation(on=False), switch_rotation(on=True)]


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.kind)
def test_nothing_but_a_revision_begins_a_log(record: Record) -> None:
    """There is nothing yet that could be changed."""
    why = "there is no revision yet: the first worker to start makes one of its configuration file"

    assert refusal(Lifecycle(), record) == ("", why)


def test_of_two_activations_the_first_counts() -> None:
    """The second was made from a revision that is active no more: it does not overwrite the first."""
    drafts = (propose("wei"), propose("li", version=1, draft="e"))
    approved = (*drafts, approve("ming"), approve("ming", version=1, draft="e"))
    both, state = after(*approved), after(*approved, activate("x"))

    assert refusal(both, activate("x", version=1, draft="e")) is None
    assert refusal(state, activate("x", version=1, draft="e")) == ("base", "made for revision 1, but 2 is active now")
    assert state.drafts.keys() == {"e"}


def test_of_two_edits_of_one_version_the_first_counts() -> None:
    """Whoever edits what stands says so; a new draft says that there is none."""
    state = after(propose("wei", replaces=""), propose("li", version=1, replaces=SHA256[0]))

    assert state.drafts["d"].authors == ("wei", "li")
    assert refusal(state, propose("ming", replaces=SHA256[0])) is not None
    assert refusal(state, propose("ming", replaces=SHA256[1])) is None


def test_an_overtaken_draft_is_proposed_anew_on_the_new_base() -> None:
    """Under the same id, with approvals anew."""
    state = after(propose("wei"), approve("li"), pause("cf-west"), propose("wei", base=2), approve("li", base=2))

    assert refusal(state, activate("wei")) == ("config_sha256", f"d was edited since: it now has the hash {SHA256[0]}")
    assert refusal(state, activate("wei", base=2)) is None


def test_a_rollback_is_a_new_revision_of_the_old_content() -> None:
    """To the byte, so that its hash is the old one."""
    state = after(propose("wei"), approve("li"), activate("wei"), roll_back(1, 2))

    assert (active(state).id, active(state).canonical) == (3, state.revisions[1].canonical)
    assert active(state).config == state.revisions[1].config


def test_a_paused_funder_is_all_that_a_pause_changes() -> None:
    """And a resumed one is as before."""
    paused = active(after(pause("cf-west")))

    assert document(paused) == changed(("funders", 2, "status"), "paused")
    assert paused.config.funders[2].status == "paused"
    assert active(after(pause("cf-west"), resume("cf-west"))).canonical == active(after()).canonical


def test_every_funder_can_be_paused() -> None:
    """Though a file with nobody active, or too few for a share cap, is refused: a switch works in an emergency."""
    state = after(*(pause(funder["id"]) for funder in DOCUMENT["funders"]))

    assert [funder.status for funder in active(state).config.funders] == ["paused"] * 4
    assert active(state).id == 5


def test_rotation_off_leaves_no_rotation_rule_and_everything_else() -> None:
    """How many grants a borrower should have stays as well: it is no rule of choice."""
    off = active(after(switch_rotation(on=False)))

    assert document(off) == DOCUMENT | {"rotation": {"relax_order": [], "min_live_grants": 3}}
    assert (off.config.rotation.never_last, off.config.rotation.relax_order) == (None, [])


def test_rotation_on_brings_back_the_rules_that_stood_last() -> None:
    """What else was changed meanwhile stays."""
    on = active(after(switch_rotation(on=False), pause("cf-west"), switch_rotation(on=True)))

    assert document(on) == changed(("funders", 2, "status"), "paused")
    assert on.config.rotation == active(after()).config.rotation


def test_the_history_tells_of_each_record_what_came_of_it() -> None:
    """Also of those that were refused and of those that nobody can read."""
    records = [FIRST, encode(propose("wei")), encode(approve("wei")), b"?", encode(pause("cf-west"))]
    state, entries = history(enumerate(records, 10))

    assert [entry.offset for entry in entries] == [10, 11, 12, 13, 14]
    assert [entry.revision for entry in entries] == [1, None, None, None, 2]
    assert [entry.refused is not None for entry in entries] == [False, False, True, True, False]
    assert [entry.record and entry.record.author for entry in entries] == ["loanrouter", "wei", "wei", None, "li"]
    assert state == after(propose("wei"), pause("cf-west"))


def test_a_draft_with_a_broken_configuration_is_refused() -> None:
    """With every problem in it, as for a file; so is one whose content is not what its hash says."""
    good = propose("wei")
    broken = msgspec.structs.replace(good, config=changed(("attempts", "max"), 0))
    other = msgspec.structs.replace(good, config=VERSIONS[1])

    assert refusal(after(), broken) == ("config.attempts.max", "must be a whole number of at least 1, but is 0")
    assert refusal(after(), other) == ("config_sha256", f"the configuration in this record has the hash {SHA256[1]}")
