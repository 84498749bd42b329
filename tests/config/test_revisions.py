"""A revision travels as one record of `rotation-config`: applied when it is sound and the next one, refused otherwise.

A refused record changes nothing: the revision that was active stays.
"""

import hashlib
import json
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from config.load import parse_config
from config.problems import ConfigError
from config.revisions import apply_record, canonical_json, encode_record, first_revision, read_record
from config.rotation import Revision
from tests.config.shipped import DOCUMENT, changed

SHIPPED_SHA256 = "25821fab625e8d2231020564e08ed12dd07ed3fb3c694c82b9a7b9384174625c"
AT = datetime(2026, 11, 24, 9, 30, tzinfo=timezone(timedelta(hours=8)))


def record(revision: int = 1, document: Any = None, **fields: Any) -> bytes:
    """A record as another program would write it, with other fields; None leaves one out."""
    config = DOCUMENT if document is None else document
    body = {
        "kind": "revision",
        "revision": revision,
        "config": config,
        "config_sha256": sha256(config),
        "author": "wei.zhang",
        "reason": "first revision",
        "occurred_at": "2026-11-24T01:30:00.000Z",
    } | fields
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def sha256(document: Any) -> str:
    """The hash as the documentation of `config_sha256` says to compute it."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def refusals(raw: bytes, active: Revision | None = None) -> list[tuple[str, str]]:
    """Key and reason of each problem of a record that must be refused."""
    with pytest.raises(ConfigError) as refusal:
        apply_record(active, raw)
    assert {(problem.source, problem.line) for problem in refusal.value.problems} == {("rotation-config", None)}
    return [(problem.key, problem.reason) for problem in refusal.value.problems]


def test_the_canonical_form_is_sorted_without_spaces_and_utf8() -> None:
    """One form for one document, whatever order its keys were written in."""
    assert canonical_json({"b": [1, 2.0, None, True], "a": {"名": "东方银行", "<": '"\\/\n'}}) == (
        '{"a":{"<":"\\"\\\\/\\n","名":"东方银行"},"b":[1,2.0,null,true]}'.encode()
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_json_cannot_hold_has_no_canonical_form(value: Any) -> None:
    """No hash stands for something that another reader could not compute."""
    with pytest.raises((ValueError, TypeError)):
        canonical_json({"value": value})


def test_the_hash_of_the_shipped_file_never_changes() -> None:
    """Decisions on record name it: another way of hashing would break replay of them."""
    assert first_revision(DOCUMENT).sha256 == SHIPPED_SHA256 == sha256(DOCUMENT)


def test_the_first_revision_is_number_1_of_the_document_as_it_was_given() -> None:
    """Nothing is filled in: numbers keep the form in which they were written."""
    revision = first_revision(DOCUMENT)

    assert (revision.id, revision.config) == (1, parse_config(DOCUMENT))
    assert json.loads(revision.canonical) == DOCUMENT
    assert b'"weight":3}' in revision.canonical
    assert b'"pass_rate_exponent":1.0,' in revision.canonical


def test_a_document_with_another_number_form_is_another_revision() -> None:
    """3 and 3.0 are one weight, but two documents."""
    whole, broken = first_revision(DOCUMENT), first_revision(changed(("funders", 0, "weight"), 3.0))

    assert whole.config == broken.config
    assert whole.sha256 != broken.sha256


def test_a_record_brings_the_revision_that_was_encoded() -> None:
    """What one worker publishes every worker applies, to the same bytes."""
    revision = first_revision(DOCUMENT)
    raw = encode_record(revision, author="wei.zhang", reason="东方银行 is back", occurred_at=AT)

    assert apply_record(None, raw) == revision
    told = read_record(raw)
    assert (told.revision, told.config_sha256) == (1, revision.sha256)
    assert (told.author, told.reason, told.occurred_at) == ("wei.zhang", "东方银行 is back", AT)
    assert json.loads(raw)["occurred_at"] == "2026-11-24T01:30:00.000Z"


def test_a_record_of_another_program_is_applied() -> None:
    """Key order, spaces and escapes are free, and fields that a newer version adds are ignored."""
    newer = {"ticket": "RISK-17", **json.loads(record(document=changed(("funders", 0, "name"), "东方银行")))}
    raw = json.dumps(newer, indent=2, ensure_ascii=True).encode()

    revision = apply_record(None, raw)

    assert revision.config.funders[0].name == "东方银行"
    assert revision.sha256 == sha256(newer["config"])


def test_revisions_follow_each_other() -> None:
    """Each record is the next one; the last is active."""
    active = apply_record(None, record())
    following = changed(("funders", 0, "weight"), 5)
    active = apply_record(active, record(2, following))

    assert (active.id, active.sha256, active.config.funders[0].weight) == (2, sha256(following), 5)
    assert apply_record(active, record(3)).sha256 == SHIPPED_SHA256  # back to the first


def test_a_repeated_record_changes_nothing() -> None:
    """Two workers that start on an empty log may both publish the first revision."""
    active = apply_record(None, record())

    assert apply_record(active, record(author="another", reason="first revision, too")) is active


@pytest.mark.parametrize("number", [1, 2, 4, 2**53 - 1])
def test_a_revision_that_is_not_the_next_is_refused(number: int) -> None:
    """A revision made from an old base would undo what came between."""
    active = apply_record(apply_record(None, record()), record(2, changed(("attempts", "max"), 3)))
    other = changed(("attempts", "max"), 1)

    assert refusals(record(number, other), active) == [("revision", f"must be the next one, 3, but is {number}")]


def test_a_log_begins_with_revision_1() -> None:
    """Without an active revision only the first can be applied."""
    assert refusals(record(2)) == [("revision", "must be the next one, 1, but is 2")]


def test_a_configuration_that_is_not_what_its_hash_says_is_refused() -> None:
    """The author saw another document than the one in the record."""
    expected = f"the configuration in this record has the hash {SHIPPED_SHA256}"
    other = sha256(changed(("attempts", "max"), 3))

    assert refusals(record(config_sha256=other)) == [("config_sha256", expected)]
    assert refusals(record(5, config_sha256=other)) == [
        ("config_sha256", expected),
        ("revision", "must be the next one, 1, but is 5"),
    ]


def test_the_repeated_number_of_the_active_revision_with_other_content_is_refused() -> None:
    """Of two workers with different first files, the one whose record came first counts."""
    active = apply_record(None, record())

    assert refusals(record(1, changed(("attempts", "max"), 3)), active) == [
        ("revision", "must be the next one, 2, but is 1")
    ]


def test_every_contradiction_in_a_record_is_told_by_its_key() -> None:
    """The same checks as for a file, under `config`."""
    broken = changed(("funders", 0, "weight"), 0)
    broken["funders"][1]["quota"]["daily_count"] = -1
    broken["capture"]["ladder"]["surprise"] = True

    assert [key for key, _ in refusals(record(document=broken))] == [
        "config.funders[0].weight",
        "config.funders[1].quota.daily_count",
        "config.capture.ladder.surprise",
    ]


@pytest.mark.parametrize("field", ["kind", "revision", "config", "config_sha256", "author", "reason", "occurred_at"])
def test_every_field_of_a_record_is_mandatory(field: str) -> None:
    """Nobody changes the configuration without a name, a time and a reason."""
    without: dict[str, Any] = {field: None}

    ((key, reason),) = refusals(record(**without))

    assert key == field
    assert reason.startswith("is missing; it must be ")


BAD_FIELDS = [
    ("kind", "draft", 'must be revision, but is the text "draft"'),
    ("revision", 0, "must be a whole number of at least 1, but is 0"),
    ("revision", "1", 'must be a whole number of at least 1, but is the text "1"'),
    ("revision", True, "must be a whole number of at least 1, but is true"),
    ("revision", 1.0, "must be a whole number of at least 1, but is 1.0"),
    ("config", [], "must be a section of keys and values, but is a list of 0"),
    ("config_sha256", "2A" * 32, f'must be 64 hexadecimal digits, but is the text "{"2A" * 29}2…'),
    ("config_sha256", "", 'must be 64 hexadecimal digits, but is the text ""'),
    ("author", "", 'must be a text that is not blank, but is the text ""'),
    ("author", " \t", r'must be a text that is not blank, but is the text " \t"'),
    ("author", 7, "must be a text that is not blank, but is 7; put it in quotes"),
    ("author", "\ud800", "holds half of a surrogate pair, which is no character"),
    ("reason", "\n", r'must be a text that is not blank, but is the text "\n"'),
    ("occurred_at", "2026-11-24", 'must be an RFC 3339 time with zone, but is the text "2026-11-24"'),
    ("occurred_at", "2026-11-24T01:30:00", 'must be an RFC 3339 time with zone, but is the text "2026-11-24T01:30:00"'),
    ("occurred_at", 1793512800, "must be an RFC 3339 time with zone, but is 1793512800"),
]


@pytest.mark.parametrize(
    ("field", "value", "reason"), BAD_FIELDS, ids=[f"{case[0]}={case[1]!r}"[:40] for case in BAD_FIELDS]
)
def test_a_wrong_field_of_a_record_is_refused(field: str, value: Any, reason: str) -> None:
    """The field is told with what it must be."""
    assert refusals(record(**{field: value})) == [(field, reason)]


NO_RECORDS = [
    (b"", "not JSON: "),
    (b"{", "not JSON: "),
    (b"\xff\xfe{}", "not JSON: "),
    (b"[" * 100_000, "not JSON: nested too deeply"),
    (b'{"kind": "revision", "kind": "revision"}', "not JSON: the key 'kind' stands twice in one object"),
    (b'{"revision": NaN}', "not JSON: NaN is no number"),
    (b'{"revision": -Infinity}', "not JSON: -Infinity is no number"),
    (b'{"revision": ' + b"9" * 5000 + b"}", "not JSON: "),
    (b"null", "must be a section of keys and values, but is empty"),
    (b"[]", "must be a section of keys and values, but is a list of 0"),
    (b'"revision"', 'must be a section of keys and values, but is the text "revision"'),
]


@pytest.mark.parametrize(("raw", "reason"), NO_RECORDS, ids=[repr(case[0])[:30] for case in NO_RECORDS])
def test_what_is_no_record_is_refused(raw: bytes, reason: str) -> None:
    """Whatever stands in the topic, it is one problem of the whole record and never a crash."""
    ((key, told),) = refusals(raw)

    assert key == ""
    assert told.startswith(reason)


def test_a_configuration_that_says_a_key_twice_is_refused() -> None:
    """Of two equal keys other readers take either: such a document has no one meaning."""
    raw = record().replace(b'"attempts": {"max": 2}', b'"attempts": {"max": 2, "max": 3}')

    assert refusals(raw) == [("", "not JSON: the key 'max' stands twice in one object")]


def test_an_endless_number_in_a_record_is_refused() -> None:
    """JSON's 1E400 is read as infinity; it is no weight."""
    raw = record().replace(b'"weight": 3', b'"weight": 1E400', 1)

    assert refusals(raw)[0] == (
        "config.funders[0].weight",
        "must be a number above 0 and at most 1000000, but is no finite number",
    )


def test_the_caller_s_document_is_left_as_it_is() -> None:
    """Checking and hashing change nothing."""
    before = deepcopy(DOCUMENT)
    first_revision(DOCUMENT)

    assert before == DOCUMENT
