"""An approved draft may become active at a time to come: until then it can be withdrawn, or something comes between."""

from datetime import datetime, timedelta

import msgspec
import pytest

from config.lifecycle import Lifecycle, advance, history
from config.records import Record, encode
from tests.config.changes import (
    AT,
    FIRST,
    SHA256,
    activate,
    active,
    after,
    approve,
    document,
    pause,
    propose,
    refusal,
    roll_back,
    switch_rotation,
    withdraw,
)
from tests.config.shipped import DOCUMENT

THEN = AT + timedelta(hours=8)
SCHEDULE = activate("wei", at=THEN)
APPROVED = (propose("wei"), approve("li"))
WAITS = "d waits for 2026-11-24T09:30:00.000Z, to become revision 2"


def signed(record: Record, at: datetime) -> Record:
    """The record as somebody signs it at that time."""
    return msgspec.structs.replace(record, occurred_at=at)


def numbers(state: Lifecycle) -> list[tuple[datetime | None, int]]:
    """The plan, with the numbers of revisions; None for what always held."""
    first, *later = state.plan()
    return [(None, first.revision.id), *((each.since, each.revision.id) for each in later)]


def test_it_holds_from_its_time_on() -> None:
    """Until then the revision before it is active, and the draft is open."""
    state = after(*APPROVED, SCHEDULE)

    assert (active(state).id, list(state.drafts)) == (1, ["d"])
    assert numbers(state) == [(None, 1), (THEN, 2)]
    assert active(state.at(THEN - timedelta(milliseconds=1))).id == 1
    then = state.at(THEN)
    assert (active(then).id, active(then).sha256) == (2, SHA256[0])
    assert (then.drafts, then.closed, then.scheduled) == ({}, frozenset({"d"}), None)


def test_what_comes_after_its_time_builds_on_it() -> None:
    """A record signed then finds it active; nothing had to be written for that."""
    state = after(*APPROVED, SCHEDULE, signed(pause("cf-west"), THEN))

    assert (active(state).id, document(active(state))["funders"][0]["weight"]) == (3, 4)
    assert (state.void, numbers(state)) == (frozenset(), [(None, 3)])
    assert refusal(state, signed(withdraw("wei"), THEN)) == ("draft", "d was activated or withdrawn already")


OVERTAKING: dict[str, Record] = {
    "a pause": pause("cf-west"),
    "rotation off": switch_rotation(on=False),
    "its own draft, activated now": activate("wei"),
}


@pytest.mark.parametrize("name", OVERTAKING)
def test_another_revision_before_its_time_makes_it_void(name: str) -> None:
    """What it was approved on has changed. Its number is not used again."""
    state = after(*APPROVED, SCHEDULE, OVERTAKING[name]).at(THEN)

    assert (active(state).id, state.void, numbers(state)) == (3, frozenset({2}), [(None, 3)])


def test_an_overtaken_draft_is_proposed_anew() -> None:
    """It stays open; nobody's change gets lost, and nobody's is overwritten."""
    state = after(*APPROVED, SCHEDULE, pause("cf-west"))

    assert refusal(state, SCHEDULE) == ("base", "made for revision 1, but 3 is active now")
    again = after(*APPROVED, SCHEDULE, pause("cf-west"), propose("wei", base=3), approve("li", base=3))
    assert refusal(again, activate("wei", base=3, at=THEN)) is None


def test_withdrawn_before_its_time_it_never_holds() -> None:
    """And its draft is closed."""
    state = after(*APPROVED, SCHEDULE, signed(withdraw("li"), THEN - timedelta(seconds=1)))

    assert (active(state.at(THEN)).id, numbers(state)) == (1, [(None, 1)])
    assert (state.drafts, state.closed, state.void) == ({}, frozenset({"d"}), frozenset({2}))
    assert refusal(state, roll_back(2, 1)) == ("to", "must be a revision before 1, the active one, but is 2")
    assert active(after(*APPROVED, SCHEDULE, withdraw("li"), pause("cf-west"))).id == 3


def test_what_never_was_active_is_not_gone_back_to() -> None:
    """Neither by name nor by switching rotation on again."""
    state = after(*APPROVED, SCHEDULE, switch_rotation(on=False))

    assert refusal(state, roll_back(2, 3)) == ("to", "revision 2 never was active: it was given up before its time")
    assert document(active(after(*APPROVED, SCHEDULE, switch_rotation(on=False), switch_rotation(on=True)))) == DOCUMENT


EARLIEST = "must be later than 2026-11-24T01:30:00.000Z, and by at most 90 days, but is"
REFUSED: dict[str, tuple[tuple[Record, ...], Record, tuple[str, str]]] = {
    "now": (APPROVED, activate("wei", at=AT), ("at", f"{EARLIEST} 2026-11-24T01:30:00.000Z")),
    "the past": (
        APPROVED,
        activate("wei", at=AT - timedelta(days=1)),
        ("at", f"{EARLIEST} 2026-11-23T01:30:00.000Z"),
    ),
    "too far ahead": (
        APPROVED,
        activate("wei", at=AT + timedelta(days=90, milliseconds=1)),
        ("at", f"{EARLIEST} 2027-02-22T01:30:00.001Z"),
    ),
    "without approval": (
        (propose("wei"),),
        SCHEDULE,
        ("draft", "d needs the approval of somebody who did not write it"),
    ),
    "a second one": (
        (*APPROVED, propose("li", 1, draft="e"), approve("wei", 1, draft="e"), SCHEDULE),
        activate("wei", 1, draft="e", at=THEN + timedelta(days=1)),
        ("at", f"{WAITS}: only one activation can wait for its time"),
    ),
    "an edit of what waits": (
        (*APPROVED, SCHEDULE),
        propose("wei", 1),
        ("draft", f"{WAITS}: activate it now or withdraw it"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_breaks_a_rule_is_refused(name: str) -> None:
    """With the field and the reason."""
    before, record, why = REFUSED[name]

    assert refusal(after(*before), record) == why


def test_the_last_moment_that_may_be_chosen() -> None:
    """90 days ahead."""
    assert refusal(after(*APPROVED), activate("wei", at=AT + timedelta(days=90))) is None


def test_the_history_tells_what_was_scheduled_and_what_became_void() -> None:
    """The entry of the activation has the revision, that of what came between says which one it stopped."""
    records = [FIRST, *(encode(record) for record in (*APPROVED, SCHEDULE, pause("cf-west")))]
    _, entries = history(enumerate(records))

    assert [(entry.revision, entry.void) for entry in entries[-2:]] == [(2, None), (3, 2)]


def test_a_publisher_s_own_revision_takes_the_next_number() -> None:
    """The one that waits has its number already, so a publisher who did not see it is refused."""
    state = after(*APPROVED, SCHEDULE)
    record = FIRST.replace(b'"revision":1', b'"revision":3')

    assert active(advance(state, record)).id == 3
    assert active(after(*APPROVED, SCHEDULE, FIRST)).id == 1  # repeats what is active: changes nothing
    assert after(*APPROVED, SCHEDULE, FIRST).scheduled == state.scheduled
