"""A revision that was activated at a time holds from that stream time on, however the records came to the worker."""

from datetime import datetime

import msgspec
import pytest

from agents.recorded import Log
from agents.replay import replay
from config.lifecycle import Lifecycle, history
from config.records import Activation, Approval, FunderSwitch, Proposal, Record, Withdrawal, encode
from config.revisions import encode_record, first_revision
from config.settings import Settings
from rotation.clock import MINUTE, rfc3339
from rotation.events import BorrowerEvent, millis
from rotation.outputs import Decision
from rotation.plan import Plan
from rotation.policy import Policy
from streams.log import LogRecord
from tests.config.shipped import DOCUMENT, changed
from tests.replay.partition import OnePartition
from tests.rotation.world import SECOND, T0, grant, outcome, request, time

THEN = T0 + 10 * MINUTE
PAUSED = changed(("funders", 2, "status"), "paused")
_DRAFT = first_revision(DOCUMENT)


def signed(at: int) -> dict[str, str | datetime]:
    """Who, why and when."""
    return {"author": "li", "reason": "a test", "occurred_at": time(at)}


SEEN = {"draft": "d", "base": 1, "config_sha256": _DRAFT.sha256}
#: cf-west takes nothing until `THEN`.
CHANGES: list[Record] = [
    msgspec.convert({**signed(T0), **SEEN, "config": DOCUMENT, "author": "wei"}, Proposal),
    msgspec.convert({**signed(T0), **SEEN}, Approval),
    msgspec.convert({**signed(T0), **SEEN, "at": time(THEN)}, Activation),
]
FIRST = encode_record(first_revision(PAUSED), author="li", reason="a test", occurred_at=time(T0))


def configured(*changes: Record, at: int = T0 - MINUTE) -> list[LogRecord]:
    """The first revision and these records, as the log holds them, stamped with `at`."""
    return [
        LogRecord("rotation-config", 0, n, at, b"config", value, ())
        for n, value in enumerate([FIRST, *map(encode, changes)])
    ]


def plan_of(log: list[LogRecord]) -> Plan:
    """The plan that a worker makes of it."""
    state: Lifecycle = history((record.offset, record.value or b"") for record in log)[0]
    compiled = {id_: Policy(each, {}, -1, state.revisions) for id_, each in state.revisions.items()}
    first, *later = state.plan()
    timed = [(millis(each.since), compiled[each.revision.id], each.share) for each in later]
    return Plan(compiled[first.revision.id], *timed)


def asked(name: str, at: int, *, expires: int) -> list[BorrowerEvent]:
    """Somebody whose only grant is at cf-west asks."""
    return [
        grant("cf-west", at - 1, customer_id=name),
        request(f"dd-{name}", at, customer_id=name, expires=expires),
    ]


#: In order of time; nobody else comes by between those a minute before `THEN` and those after it.
STORY: list[BorrowerEvent] = [
    *asked("waits", T0 + MINUTE, expires=T0 + 60 * MINUTE),
    *asked("before", T0 + 2 * MINUTE, expires=THEN - 1),
    *asked("until", T0 + 3 * MINUTE, expires=THEN),
    grant("trust-south", T0 + 4 * MINUTE, limit=1_000, customer_id="after"),
    request("dd-after", T0 + 5 * MINUTE, customer_id="after", expires=THEN + MINUTE),
    grant("cf-west", THEN - 2 * SECOND, customer_id="early"),
    request("dd-early", THEN - 1, customer_id="early", expires=THEN + 60 * MINUTE),
    grant("cf-west", THEN + 30 * SECOND, customer_id="late"),
    request("dd-late", THEN + 31 * SECOND, customer_id="late"),
    outcome("dd-late", "cf-west", "declined", THEN + 3 * MINUTE, customer_id="late"),
    request("dd-early", THEN - 1, customer_id="early", expires=THEN + 60 * MINUTE),
]
WAYS = {
    "each record by itself": [[n] for n in range(len(STORY))],
    "all at once": [list(range(len(STORY)))],
    "across the time": [list(range(3)), list(range(3, 11)), list(range(11, len(STORY)))],
}


def told(log: list[LogRecord]) -> dict[str, bytes]:
    """The recorded decisions."""
    return Log(log, None).recorded()


def played(way: list[list[int]], *changes: Record) -> list[LogRecord]:
    """The log after the story came in these batches."""
    log = configured(*changes)
    partition = OnePartition(plan_of(log), log)
    for batch in way:
        partition.batch(*(STORY[n] for n in batch))
    return partition.records


@pytest.mark.parametrize("way", WAYS)
def test_what_is_decided_from_its_time_on_is_decided_under_it(way: str) -> None:
    """What is held is tried again at the very time, what falls due before it is decided under the revision before."""
    said = {key: msgspec.json.decode(value, type=Decision) for key, value in told(played(WAYS[way], *CHANGES)).items()}

    assert {key: (each.status, each.decided_at, each.config_revision) for key, each in said.items()} == {
        "dd-waits:1:held": ("held", rfc3339(T0 + MINUTE), 1),
        "dd-waits:1": ("routed", rfc3339(THEN), 2),
        "dd-before:1:held": ("held", rfc3339(T0 + 2 * MINUTE), 1),
        "dd-before:1": ("rejected", rfc3339(THEN - 1), 1),
        "dd-until:1:held": ("held", rfc3339(T0 + 3 * MINUTE), 1),
        "dd-until:1": ("rejected", rfc3339(THEN), 2),
        "dd-after:1:held": ("held", rfc3339(T0 + 5 * MINUTE), 1),
        "dd-after:1": ("rejected", rfc3339(THEN + MINUTE), 2),
        "dd-early:1:held": ("held", rfc3339(THEN - 1), 1),
        "dd-early:1": ("routed", rfc3339(THEN), 2),
        "dd-late:1": ("routed", rfc3339(THEN + 31 * SECOND), 2),
        "dd-late:2:held": ("held", rfc3339(THEN + 3 * MINUTE), 2),
    }


@pytest.mark.parametrize("way", WAYS)
def test_a_replay_gives_the_same_bytes(way: str) -> None:
    """From the recorded positions, and from the inputs alone."""
    log = played(WAYS[way], *CHANGES)

    assert dict(replay(Settings(), Log(log, None))) == told(log)
    inputs = [record for record in log if record.topic != "routing-decisions"]
    assert dict(replay(Settings(), Log(inputs, None))) == told(log)


RAMP = msgspec.convert(
    {**signed(T0), **SEEN, "at": time(THEN - 5 * MINUTE), "ramp": {"shares": [30, 60, 100], "every_seconds": 300}},
    Activation,
)
#: Borrowers who wait, and others who come by now and then.
CROWD: list[BorrowerEvent] = sorted(
    (
        *(each for n in range(20) for each in asked(f"waits-{n}", T0 + (n + 1) * SECOND, expires=T0 + 60 * MINUTE)),
        *(
            each
            for n in range(60)
            for each in asked(f"comes-{n}", T0 + n * 20 * SECOND + 10_000 + n, expires=T0 + 60 * MINUTE)
        ),
    ),
    key=lambda event: event.occurred_at,
)
CROWD_WAYS = {"each record by itself": 1, "in threes": 3, "all at once": len(CROWD)}


def crowded(size: int) -> list[LogRecord]:
    """The log after the crowd came in batches of this size, while a revision was let in by steps."""
    log = configured(*CHANGES[:2], RAMP)
    partition = OnePartition(plan_of(log), log)
    for begin in range(0, len(CROWD), size):
        partition.batch(*CROWD[begin : begin + size])
    return partition.records


def test_it_is_let_in_by_steps() -> None:
    """Who is in stays in; who waits is tried again when they come in; when nobody is left out all are in."""
    said = [msgspec.json.decode(value, type=Decision) for value in told(crowded(1)).values()]
    stages = [rfc3339(THEN + n * 5 * MINUTE) for n in (-1, 0, 1)]
    inside = [
        {each.customer_id for each in said if each.decided_at < end and each.config_revision == 2}
        for end in (*stages, "3")
    ]
    routed_at = {each.customer_id: each.decided_at for each in said if each.status == "routed"}

    assert inside[0] == set()
    assert 0 < len(inside[1]) < len(inside[2]) < len(inside[3]) == 80
    for begin, end, known in zip(stages[:-1], stages[1:], inside[1:], strict=False):
        late = [each for each in said if begin <= each.decided_at < end and each.customer_id in known]
        first = {each.customer_id: each.config_revision for each in reversed(late)}
        assert set(first.values()) == {2}
    assert {routed_at[f"waits-{n}"] for n in range(20)} == set(stages)


@pytest.mark.parametrize("way", CROWD_WAYS)
def test_a_replay_of_steps_gives_the_same_bytes(way: str) -> None:
    """However the records came: from the recorded positions, and from the inputs alone."""
    log = crowded(CROWD_WAYS[way])

    assert told(log) == told(crowded(1))
    assert dict(replay(Settings(), Log(log, None))) == told(log)
    inputs = [record for record in log if record.topic != "routing-decisions"]
    assert dict(replay(Settings(), Log(inputs, None))) == told(log)


STOPPING: dict[str, Record] = {
    "withdrawn": msgspec.convert({**signed(THEN - 1), "draft": "d"}, Withdrawal),
    "overtaken": msgspec.convert({**signed(THEN - 1), "kind": "pause", "funder_id": "trust-south"}, FunderSwitch),
}


@pytest.mark.parametrize("name", STOPPING)
def test_what_was_withdrawn_or_overtaken_never_decides(name: str) -> None:
    """Also when its time has passed."""
    log = played(WAYS["all at once"], *CHANGES, STOPPING[name])
    said = [msgspec.json.decode(value, type=Decision) for value in told(log).values()]

    assert {each.config_revision for each in said} == {1 if name == "withdrawn" else 3}
    assert "routed" not in {each.status for each in said}
    assert dict(replay(Settings(), Log(log, None))) == told(log)


def test_a_worker_that_hears_of_it_late_goes_on_with_it() -> None:
    """Decisions made before stay; from the record on its revision holds, since its time has passed."""
    before = configured()
    partition = OnePartition(plan_of(before), before)
    partition.batch(*STORY[:12])
    after = configured(*CHANGES)
    partition.records += [msgspec.structs.replace(each, timestamp=THEN + MINUTE) for each in after[1:]]
    partition.follow(plan_of(after))
    routed = partition.batch(grant("bank-east", THEN + 2 * MINUTE, customer_id="somebody"))

    assert {(each.decision_id, each.config_revision) for each in routed} >= {("dd-waits:1", 2), ("dd-early:1", 2)}
    assert dict(replay(Settings(), Log(partition.records, None))) == told(partition.records)


def test_time_alone_brings_it() -> None:
    """Once, and what comes late belongs to what stream time has reached."""
    log = configured(*CHANGES)
    partition = OnePartition(plan_of(log), log)
    partition.batch(*STORY[:2])

    (routed,) = partition.tick(THEN + SECOND)
    assert (routed.decision_id, routed.decided_at, routed.config_revision) == ("dd-waits:1", rfc3339(THEN), 2)
    assert partition.tick(THEN + 2 * SECOND) == []
    assert [each.config_revision for each in partition.batch(*asked("slow", THEN - SECOND, expires=THEN))] == [2]
    assert dict(replay(Settings(), Log(partition.records, None))) == told(partition.records)
