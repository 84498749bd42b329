"""A log that was changed does not come to its decisions: no field of a decision, and no record, is beyond notice."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agents.recorded import Log
from streams.topics import BORROWER_INPUTS
from tests.replay.logs import decided, records, replayed


def forgeries(value: bytes) -> Iterator[tuple[str, bytes]]:
    """A decision with one field changed, for each of its fields."""
    decision: dict[str, Any] = json.loads(value)
    for field, kept in decision.items():
        match kept:
            case int():
                other: Any = kept + 1
            case str() if field in ("decided_at", "expires_at"):
                other = kept.replace("Z", "1Z")
            case str():
                other = kept + "x"
            case None:
                other = "cf-west"
            case list():
                other = [*kept, "forged"] if field != "candidates" else [{"funder_id": "x", "propensity": 0.5}, *kept]
            case _:
                other = kept | {"forged": ["closed"]}
        yield field, json.dumps(decision | {field: other}, separators=(",", ":")).encode()


#: What a decision is found by, or replayed under; a change of these is no difference but another log.
FOUND_BY = {"decision_id", "drawdown_id", "customer_id", "config_revision", "funder_states_version", "status"}


@pytest.mark.parametrize(
    "decision_id", ["dd-ann-3:1", "dd-gus-1:2", "dd-bob-1:1:held", "dd-fay-1:1", "dd-eve-1:1:held"]
)
def test_no_field_of_a_decision_can_be_changed_unnoticed(decision_id: str) -> None:
    """A routed one, a next attempt, a held and a rejected one, one that was refused a reservation."""
    log = records("in-order")
    true = decided(log)[decision_id]
    unnoticed = []
    for field, forged in forgeries(true):
        if field not in FOUND_BY:
            changed = [msgspec.structs.replace(r, value=forged) if r.value == true else r for r in log]
            if replayed(changed).get(decision_id) == forged:
                unnoticed.append(field)

    assert unnoticed == []


@pytest.mark.parametrize("topic", [*BORROWER_INPUTS, "rotation-config", "funder-states"])
def test_a_record_that_is_missing_is_noticed(topic: str) -> None:
    """A log that lost a record of a topic does not come to its decisions, where any depends on it."""
    log = records("in-order")
    true = decided(log)
    later = [record for record in log if record.topic == topic][1:]  # without a first revision nothing is decided

    assert any(replayed(each for each in log if each is not record) != true for record in later)


def test_a_decision_that_was_said_twice_and_differently_is_noticed() -> None:
    """A repeated decision is the same bytes; another one of the same id is a breach, whichever comes first."""
    log = records("in-order")
    true = decided(log)["dd-ann-2:1"]
    (told,) = (record for record in log if record.value == true)
    other = msgspec.structs.replace(told, offset=10_000, value=true.replace(b"ranked_first", b"only_candidate"))

    for twice in ([*log, other], [*log, msgspec.structs.replace(other, offset=-1)]):
        assert replayed(twice) != Log(twice, None).recorded()
