"""A draft in the shadow decides what the workers decided, on the same borrowers, and changes nothing."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from config.document import read_json
from config.lifecycle import history
from config.revisions import first_revision
from config.rotation import Revision
from streams.headers import POSITION_HEADER, Position, header
from streams.log import LogRecord
from streams.topics import BORROWER_INPUTS
from tests.replay.logs import LOGS, records
from whatif.shadow import FOLLOWED, Shadow
from whatif.shadow_told import Seen


def revision_of(log: list[LogRecord], edit: Callable[[dict[str, Any]], None] = lambda document: None) -> Revision:
    """The first revision of a log, edited."""
    state, _ = history((r.offset, r.value or b"") for r in log if r.topic == "rotation-config")
    document = read_json(state.revisions[1].canonical)
    edit(document)
    return first_revision(document)


def whole(name: str) -> list[LogRecord]:
    """A golden log with a record at the end of each input that decisions had read: some were left out of the file."""
    log = records(name)
    read: dict[tuple[str, int], int] = {}
    for record in log:
        if record.topic == "routing-decisions":
            position = Position.decode(header(record.headers, POSITION_HEADER) or b"")
            for topic, offset in zip(BORROWER_INPUTS, position.offsets, strict=True):
                at = topic, record.partition
                read[at] = max(read.get(at, 0), offset)
    held = {(record.topic, record.partition, record.offset) for record in log}
    ends = [(topic, partition, offset - 1) for (topic, partition), offset in read.items() if offset]
    return [*log, *(LogRecord(*end, 0, b"nobody", b"noise", ()) for end in ends if end not in held)]


def shadowed(
    log: list[LogRecord], draft: Revision, ends: dict[tuple[str, int], int] | None = None, *, late: bool = False
) -> Seen:
    """What the draft saw of a log; `late` when all decisions come before what they took into account."""
    begins: dict[tuple[str, int], int] = {}
    for record in log:
        at = record.topic, record.partition
        begins[at] = min(begins.get(at, record.offset), record.offset)
    shadow = Shadow(draft, begins, ends or {})
    order = reversed(FOLLOWED) if late else FOLLOWED
    places = {topic: place for place, topic in enumerate(order)}
    for record in sorted(log, key=lambda r: (places.get(r.topic, 99), r.partition, r.offset)):
        if record.topic in places:
            shadow.take(record)
            shadow.go_on()
    return shadow.seen()


def under_the_first(log: list[LogRecord]) -> int:
    """How many decisions but rejections, without repeats, the log holds of its first revision."""
    told = [msgspec.json.decode(r.value or b"") for r in log if r.topic == "routing-decisions"]
    return len({each["decision_id"] for each in told if each["config_revision"] == 1 and each["status"] != "rejected"})


@pytest.mark.parametrize("late", [False, True], ids=["in order", "decisions first"])
@pytest.mark.parametrize("name", LOGS)
def test_what_is_active_decides_the_same(name: str, late: bool) -> None:
    """Each decision of real workers under a revision comes out of its content again, to the last code."""
    log = whole(name)

    seen = shadowed(log, revision_of(log), late=late)

    assert seen.compared >= seen.kinds["same"] >= under_the_first(log) > 0
    assert {each.config_revision for each in seen.differing} & {1} == set()
    if name == "market":
        assert (seen.kinds["same"], seen.differing) == (seen.compared, [])


def test_a_draft_that_pauses_a_funder() -> None:
    """Nothing goes there, all that did is listed with both decisions and where it would have gone."""
    log = records("market")

    def pause(document: dict[str, Any]) -> None:
        document["funders"][0]["status"] = "paused"

    draft = revision_of(log, pause)
    paused = draft.config.funders[0].id
    seen = shadowed(log, draft)

    assert seen.funders[paused].active > 0 == seen.funders[paused].draft
    assert sum(seen.moved[paused].values()) == seen.funders[paused].active
    gone = [each for each in seen.differing if each.active.funder_id == paused]
    assert len(gone) == seen.funders[paused].active
    assert {each.kind for each in gone} <= {"funder", "held"}
    assert all("funder_paused" in each.draft.excluded[paused] for each in gone)
    assert seen.codes["funder_paused"].draft > seen.codes["funder_paused"].active
    stayed = [each for each in seen.differing if each.active.funder_id == each.draft.funder_id]
    assert {each.kind for each in stayed} == {"codes"}
    assert seen.compared == sum(seen.kinds.values())


def test_only_what_is_decided_from_the_start_on_is_compared() -> None:
    """What was decided before makes the borrowers what they are."""
    log = records("market")
    decided = [record for record in log if record.topic == "routing-decisions"]
    ends = {
        ("routing-decisions", partition): sorted(r.offset for r in decided if r.partition == partition)[-20]
        for partition in {record.partition for record in decided}
    }

    seen = shadowed(log, revision_of(log), ends)

    assert 0 < seen.compared <= 20 * len(ends)
    assert seen.differing == []


def test_a_quota_that_the_draft_changes_is_named() -> None:
    """The shadow cannot know when it would have been used up: there it takes room for granted."""
    log = records("market")

    def less(document: dict[str, Any]) -> None:
        document["funders"][1]["quota"]["daily_count"] = 1

    draft = revision_of(log, less)

    assert shadowed(log, draft).unjudged == [draft.config.funders[1].id]
