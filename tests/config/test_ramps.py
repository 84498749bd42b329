"""An approved draft may hold for a growing share of the borrowers first; until it holds for all it can be withdrawn."""

from datetime import timedelta
from typing import Any

import pytest

from config.lifecycle import Lifecycle
from config.records import Approval, Proposal, Ramp, Record
from config.revisions import first_revision
from tests.config.changes import AT, activate, active, after, approve, pause, propose, refusal, withdraw
from tests.config.shipped import DOCUMENT, changed

HOUR = timedelta(hours=1)
RAMP = Ramp([5, 25, 100], 3600)
APPROVED = (propose("wei"), approve("li"))


def steps(state: Lifecycle) -> list[tuple[int, int]]:
    """Which revision holds for which share, in order of time."""
    return [(each.revision.id, each.share) for each in state.plan()]


def test_it_holds_for_one_share_after_the_other() -> None:
    """Beginning with the record, or at a time; it is the active one when it holds for all."""
    state = after(*APPROVED, activate("wei", ramp=RAMP))
    later = after(*APPROVED, activate("wei", at=AT + HOUR, ramp=RAMP))

    assert steps(state) == steps(later) == [(1, 100), (2, 5), (2, 25), (2, 100)]
    assert [each.since for each in state.plan()[1:]] == [AT, AT + HOUR, AT + 2 * HOUR]
    assert [each.since for each in later.plan()[1:]] == [AT + HOUR, AT + 2 * HOUR, AT + 3 * HOUR]
    assert active(state.at(AT + 2 * HOUR - timedelta(milliseconds=1))).id == 1
    assert (active(state.at(AT + 2 * HOUR)).id, state.at(AT + 2 * HOUR).drafts) == (2, {})


def test_withdrawn_or_overtaken_it_holds_for_nobody() -> None:
    """All borrowers are back under the revision before it, or under the one that came between."""
    assert steps(after(*APPROVED, activate("wei", ramp=RAMP), withdraw("guardrail"))) == [(1, 100)]
    assert steps(after(*APPROVED, activate("wei", ramp=RAMP), pause("cf-west"))) == [(3, 100)]


REFUSED: dict[str, tuple[Ramp, str, str]] = {
    "not to all": (Ramp([5, 25], 3600), "ramp", "shares must grow and end with 100, but are 5, 25"),
    "a share twice": (Ramp([5, 5, 100], 3600), "ramp", "shares must grow and end with 100, but are 5, 5, 100"),
    "one that shrinks": (Ramp([25, 5, 100], 3600), "ramp", "shares must grow and end with 100, but are 25, 5, 100"),
    "too long": (
        Ramp([5, 25, 100], 46 * 86_400),
        "at",
        "must be later than 2026-11-24T01:30:00.000Z, and by at most 90 days, but is 2027-02-24T01:30:00.000Z",
    ),
    "only one share": (Ramp([100], 3600), "ramp.shares", ""),
    "more than all": (Ramp([5, 101], 3600), "ramp.shares", ""),
    "no time between": (Ramp([5, 100], 0), "ramp.every_seconds", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_steps_that_are_none_are_refused(name: str) -> None:
    """With the field and the reason."""
    ramp, key, reason = REFUSED[name]
    told = refusal(after(*APPROVED), activate("wei", ramp=ramp))

    assert told is not None
    assert told[0] == key
    assert reason in told[1]


OTHERS = "a draft with other funders cannot be let in by steps; activate it for all"
CHANGING: dict[str, tuple[Any, str]] = {
    "a quota": (
        changed(("funders", 2, "quota", "daily_count"), 7),
        "the draft changes quota or guarantee of cf-west; activate it for all",
    ),
    "a guarantee": (
        changed(("funders", 1, "guarantee", "cap"), 0.4),
        "the draft changes quota or guarantee of cf-north; activate it for all",
    ),
    "fewer funders": (DOCUMENT | {"funders": DOCUMENT["funders"][:3]}, OTHERS),
    "another id": (changed(("funders", 3, "id"), "trust-north"), OTHERS),
}


@pytest.mark.parametrize("name", CHANGING)
def test_what_the_reservation_book_counts_by_is_the_same_for_all(name: str) -> None:
    """A draft that changes it cannot hold for some borrowers only."""
    document, why = CHANGING[name]
    if name == "fewer funders":
        document = changed(("rotation", "min_live_grants"), 2) | {"funders": document["funders"]}
    seen = {"draft": "d", "base": 1, "config_sha256": first_revision(document).sha256}
    signed = {"reason": "a test", "occurred_at": AT}
    approved: tuple[Record, ...] = (
        Proposal(author="wei", **signed, **seen, config=document),  # type: ignore[arg-type]
        Approval(author="li", **signed, **seen),  # type: ignore[arg-type]
    )
    activation = activate("wei", ramp=RAMP)
    state = after(*approved)
    told = refusal(state, type(activation)(author="wei", **signed, **seen, ramp=RAMP))  # type: ignore[arg-type]

    assert told == ("ramp", why)
