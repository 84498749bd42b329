"""Recorded logs give the recorded decisions again, byte for byte, for as long as logs are kept."""

import json
import random

import msgspec
import pytest

from config.load import load_file
from config.revisions import first_revision
from rotation.outputs import Decision
from streams.headers import POSITION_HEADER, Position
from tests.processes import loanrouter
from tests.replay.logs import DECISIONS, LOGS, decided, inputs_only, path, records, replayed
from tests.replay.recording import TOPICS
from tests.rotation.world import SHIPPED


@pytest.mark.parametrize("name", LOGS)
def test_a_recorded_log_gives_the_recorded_bytes(name: str) -> None:
    """Led by the recorded positions and reservation results, the core says what the worker said."""
    log = records(name)

    assert replayed(log) == decided(log)


def test_a_log_of_inputs_alone_gives_the_same_bytes() -> None:
    """What came in order is decided in that order, with reservations made in memory: nobody has to be told."""
    log = records("in-order")

    assert replayed(inputs_only(log)) == decided(log)


def test_a_change_is_acted_on_though_no_record_follows() -> None:
    """A hold is tried again when a funder is let in or a revision is active, not when the next record comes.

    Here nobody comes by any more after the ladder's pause has begun.
    """
    log = records("in-order")
    paused = next(r.timestamp for r in log if r.topic == "funder-states" and b'"paused"' in (r.value or b""))
    inputs = [r for r in inputs_only(log) if r.timestamp < paused or not (r.key or b"").startswith(b"passerby")]

    said = replayed(inputs)

    assert {key: said.get(key) for key in ("dd-hal-1:1", "dd-ivy-1:1")} == {
        key: decided(log)[key] for key in ("dd-hal-1:1", "dd-ivy-1:1")
    }


@pytest.mark.parametrize("broken", [b"{", b'{"funder_id":"\xff"}', b'{"x":' + b"[" * 100_000])
def test_a_state_that_the_workers_refused_changes_nothing(broken: bytes) -> None:
    """Not JSON, not UTF-8, nested without end: replay passes over it, as they did."""
    log = records("in-order")
    state = next(record for record in log if record.topic == "funder-states")
    refused = msgspec.structs.replace(state, offset=10_000, value=broken)

    assert replayed([*log, refused]) == decided(log)


@pytest.mark.parametrize("name", LOGS)
def test_the_order_of_lines_means_nothing(name: str) -> None:
    """Each line says where its record stood."""
    log = records(name)
    shuffled = random.Random(7).sample(log, len(log))

    assert replayed(shuffled) == decided(log)
    assert replayed(inputs_only(shuffled)) == replayed(inputs_only(log))


@pytest.mark.parametrize("name", LOGS)
def test_every_process_gives_the_same_bytes(name: str) -> None:
    """Also one in which sets and dictionaries of texts are hashed differently."""
    first, second = (loanrouter("replay", str(path(name)), PYTHONHASHSEED=seed) for seed in ("1", "2"))

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    assert len(first.stdout.splitlines()) == len(decided(records(name)))


@pytest.mark.parametrize("prefix", ["", "team-a."])
def test_what_the_worker_refused_is_passed_over(prefix: str) -> None:
    """A record that was ahead of the worker's clock is as good as any later on: the dead letter tells.

    It names the topic as it was on its broker, under a prefix that who replays need not have.
    """
    log = records("in-order")
    granted = next(r for r in log if r.topic == "credit-grants" and r.key == b"ann" and b"cf-west" in (r.value or b""))
    revoked = (granted.value or b"").replace(b"g-", b"h-").replace(b"approved", b"revoked")
    unused = next(
        n for n in range(granted.offset, 10_000) if all(r.offset != n for r in log if r.topic == granted.topic)
    )
    record = msgspec.structs.replace(granted, value=revoked, offset=unused)
    headers = {
        "dlq.reason": "timestamp_in_future",
        "dlq.topic": prefix + record.topic,
        "dlq.partition": record.partition,
    }
    headers |= {"dlq.offset": record.offset, "dlq.timestamp": record.timestamp}
    coded = tuple((name, str(value).encode()) for name, value in headers.items())
    letter = msgspec.structs.replace(record, topic="dead-letters", offset=10_000, headers=coded)

    assert replayed([*log, record]) != decided(log)
    assert replayed([*log, record, letter]) == decided(log)
    assert replayed(each for each in [*log, record, letter] if each.topic != DECISIONS) == decided(log)


def test_the_logs_hold_all_that_can_happen() -> None:
    """Whoever records them again keeps them as rich as they are."""
    log = [record for name in LOGS for record in records(name)]
    told = [msgspec.json.decode(value, type=Decision) for name in LOGS for value in decided(records(name)).values()]
    positions = [Position.decode(dict(r.headers)[POSITION_HEADER] or b"") for r in log if r.topic == DECISIONS]
    refused = {(dict(r.headers)["dlq.reason"] or b"").decode() for r in log if r.topic == "dead-letters"}

    assert {r.topic for r in log} == set(TOPICS)
    assert {(each.status, reason) for each in told for reason in each.reasons} >= {
        ("routed", "ranked_first"),
        ("routed", "only_candidate"),
        ("routed", "relaxed"),
        ("held", "no_candidate"),
        ("held", "no_live_grant"),
        ("rejected", "expired"),
        ("rejected", "request_expired"),
    }
    assert {code for each in told for codes in each.excluded.values() for code in codes} >= {
        *("no_live_grant", "grant_limit", "closed", "funder_paused", "excluded_by_request", "already_tried"),
        *("quota_exhausted", "guarantee_ratio", "never_last", "max_share", "cooldown", "exposure_budget"),
    }
    assert {tuple(each.relaxed) for each in told if each.status == "routed"} >= {
        (),
        ("cooldown",),
        ("exposure_budget",),
        ("exposure_budget", "max_share"),
        ("cooldown", "max_share", "exposure_budget", "never_last"),
    }
    assert {each.attempt for each in told} == {1, 2}
    assert {each.config_revision for each in told} == {1, 2, 3, 4, 5}
    assert len({each.funder_states_version for each in told}) > 10
    assert {position.cause for position in positions} == {None, 0, 1, 2, 3}
    assert {r.partition for r in log if r.topic == DECISIONS} == {0, 1}
    assert sum(r.topic == DECISIONS for r in log) > len(told), "no decision was repeated"
    assert refused == {
        *("not_json", "schema", "key_mismatch", "unknown_funder", "unknown_drawdown", "conflicting_duplicate"),
        "timestamp_in_future",
    }


def test_the_logs_are_of_the_shipped_configurations() -> None:
    """Their first revisions are the files of today."""
    shipped = first_revision(load_file(SHIPPED)).sha256

    for name in ("in-order", "out-of-order"):
        first = next(record for record in records(name) if record.topic == "rotation-config")
        assert json.loads(first.value or b"")["config_sha256"] == shipped
