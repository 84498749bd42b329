"""What is accepted, and for which reason the rest is refused (contract, sections 1, 2, 5 and 8)."""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rotation.events import CreditGrant, DrawdownRequest, millis
from streams.codec import INPUTS, MAX_BYTES, BadInput
from tests.contract.documents import BROKEN, FUNDERS, NOW, OPTIONAL, VALID, Broken, Document, key_of, read

EXAMPLES = Path(__file__).parent / "examples"

REQUEST = msgspec.json.encode(VALID["drawdown-requests"])


def _examples(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / name).read_text().splitlines()]


def _read_example(record: dict[str, Any]) -> Any:
    coded = record.get("value_base64")
    value = json.dumps(record["value"]).encode() if coded is None else base64.b64decode(coded)
    key = None if record["key"] is None else record["key"].encode()
    return read(record["topic"], value, key=key, timestamp=record["timestamp"])


def _request(**changes: Any) -> DrawdownRequest | BadInput:
    event = read("drawdown-requests", msgspec.json.encode(VALID["drawdown-requests"] | changes))
    assert isinstance(event, DrawdownRequest | BadInput)
    return event


def _raw(field: str, text: str) -> Any:
    """Decode the request with the JSON text of one field replaced."""
    value = REQUEST.replace(f'"{field}":{json.dumps(VALID["drawdown-requests"][field])}'.encode(), text.encode())
    assert value != REQUEST
    return read("drawdown-requests", value)


def _reason(event: Any) -> str:
    assert isinstance(event, BadInput)
    return event.reason


@pytest.mark.parametrize("record", _examples("story.jsonl"))
def test_story(record: dict[str, Any]) -> None:
    """Every record of the contract's story is an event of its topic."""
    assert isinstance(_read_example(record), INPUTS[record["topic"]].type)


@pytest.mark.parametrize("record", _examples("bad.jsonl"))
def test_bad_examples(record: dict[str, Any]) -> None:
    """Every bad record of the contract has its reason, except those that only the borrower's history shows bad."""
    event = _read_example(record)
    if record["reason"] == "unknown_drawdown":
        assert isinstance(event, INPUTS[record["topic"]].type)
    else:
        assert _reason(event) == record["reason"]


@pytest.mark.parametrize("topic", VALID)
def test_whole_document(topic: str) -> None:
    """A complete document gives the event that says the same."""
    event = read(topic, msgspec.json.encode(VALID[topic]), key=key_of(topic))
    assert isinstance(event, INPUTS[topic].type)
    assert event == msgspec.convert(VALID[topic], INPUTS[topic].type)


@pytest.mark.parametrize("topic", VALID)
@pytest.mark.parametrize("how", ["null", "missing"])
def test_optional_fields(topic: str, how: str) -> None:
    """An optional field may be null or missing, which mean the same."""
    document: Document = {field: value for field, value in VALID[topic].items() if field not in OPTIONAL[topic]}
    if how == "null":
        document |= dict.fromkeys(OPTIONAL[topic])
    event = read(topic, msgspec.json.encode(document), key=key_of(topic))
    assert [getattr(event, field) for field in OPTIONAL[topic]] == [None] * len(OPTIONAL[topic])


@pytest.mark.parametrize("topic", VALID)
def test_missing_field(topic: str) -> None:
    """Each required field is missed by its name."""
    for field in VALID[topic].keys() - OPTIONAL[topic]:
        document = {name: value for name, value in VALID[topic].items() if name != field}
        event = read(topic, msgspec.json.encode(document), key=key_of(topic))
        assert _reason(event) == "schema"
        assert isinstance(event, BadInput)
        assert event.detail.startswith(f"{field}: missing")


def test_declined_grant_needs_no_terms() -> None:
    """Limit, rate and end of a grant are required of an approved one only."""
    document = VALID["credit-grants"] | {"status": "declined", "credit_limit": None, "apr_bp": None, "expires_at": None}
    assert isinstance(read("credit-grants", msgspec.json.encode(document)), CreditGrant)


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_field(broken: Broken) -> None:
    """A field that is mistyped or out of range is named, with what is wrong with it."""
    event = read(broken.topic, msgspec.json.encode(broken.document()), key=key_of(broken.topic))
    assert _reason(event) == "schema"
    assert isinstance(event, BadInput)
    assert event.detail.startswith(f"{broken.field}: {broken.detail}")


def test_detail_tells_no_value() -> None:
    """The detail for a person repeats nothing of the document, which is a customer's."""
    shown = "not to be shown!"
    texts = [field for field, value in VALID["drawdown-requests"].items() if isinstance(value, str)]
    changed: list[Document] = [*({field: shown} for field in texts), {"amount": shown}, {"exclude_funders": [shown]}]
    for changes in changed:
        event = _request(**changes)
        assert isinstance(event, BadInput)
        assert shown not in event.detail
    mismatch = read("drawdown-requests", REQUEST, key=shown.encode())
    assert isinstance(mismatch, BadInput)
    assert shown not in mismatch.detail
    assert "cust-1" not in mismatch.detail


@pytest.mark.parametrize("field", ["customer_id", "drawdown_id", "region"])
def test_line_end_is_no_part_of_an_id(field: str) -> None:
    """A text with a line end after it is another text, and no id."""
    assert _reason(_request(**{field: VALID["drawdown-requests"][field] + "\n"})) == "schema"


@pytest.mark.parametrize("text", ["6e5", "600000.0", "1e30", "-1e400", "-0"])
def test_other_ways_to_write_numbers(text: str) -> None:
    """Money is a plain whole number: what a float writes is refused even where its value is whole."""
    assert _reason(_raw("amount", f'"amount":{text}')) == "schema"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "0600000", "+5", "0x10", "1_000", "'5'", ".5", ""])
def test_no_json_numbers(text: str) -> None:
    """What only looks like a JSON number to other languages is no JSON."""
    assert _reason(_raw("amount", f'"amount":{text}')) == "not_json"


def test_last_of_duplicate_keys_counts() -> None:
    """Of two equal keys the last counts, as in most languages."""
    event = _raw("amount", '"amount":"x","amount":7')
    assert isinstance(event, DrawdownRequest)
    assert event.amount == 7


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"{",
        REQUEST[:-1],
        REQUEST + b"x",
        REQUEST + REQUEST,
        b"\xef\xbb\xbf" + REQUEST,
        REQUEST.decode().encode("utf-16"),
        b"\xff\xfe\x80",
        REQUEST.replace(b"cust-1", b"\xed\xa0\x80"),
        REQUEST.replace(b"cust-1", b"\\ud800"),
        REQUEST[:-1] + b',"later":"\xff"}',
        REQUEST[:-1] + b',"later":NaN}',
        REQUEST[:-1] + b',"later":"\\ud800"}',
        REQUEST[:-1] + b',"later":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"[" * 60_000,
    ],
)
def test_not_json(value: bytes) -> None:
    """Bytes that are not one JSON value in UTF-8 are not JSON, also in a field that nobody reads."""
    assert _reason(read("drawdown-requests", value)) == "not_json"


@pytest.mark.parametrize("value", [None, b"null", b"[1,2]", b'"text"', b"5", b"true", b"{}"])
def test_no_object(value: bytes | None) -> None:
    """A value that is no object, or that there is not, is a matter of the schema."""
    assert _reason(read("drawdown-requests", value)) == "schema"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-01T14:00:00+08:00", "2026-11-01T06:00:00Z"),
        ("2026-11-01T00:30:00.5-05:30", "2026-11-01T06:00:00.500Z"),
        ("2026-11-01t06:00:00z", "2026-11-01T06:00:00Z"),
        ("2026-11-01T06:00:00-00:00", "2026-11-01T06:00:00Z"),
        ("2026-11-01T06:00:00.000999Z", "2026-11-01T06:00:00.000Z"),
        ("9998-12-31T23:59:59Z", "9998-12-31T23:59:59Z"),
    ],
)
def test_times(text: str, same: str) -> None:
    """Every way in which RFC 3339 may write a time means the same millisecond."""
    event, other = _request(occurred_at=text), _request(occurred_at=same)
    assert isinstance(event, DrawdownRequest)
    assert isinstance(other, DrawdownRequest)
    assert millis(event.occurred_at) == millis(other.occurred_at)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T06:00:00Z",
        "2026-11-01T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "2026-11-01T06:00:00+24:00",
        "2026-11-01T06:00:00Z\n",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+08:00",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-08:00",
        "9999-06-01T00:00:00Z",
    ],
)
def test_no_times(text: str) -> None:
    """Times that there are not, and times to which nothing can be added, are refused."""
    event = _request(occurred_at=text)
    assert isinstance(event, BadInput)
    assert (event.reason, event.detail.partition(":")[0]) == ("schema", "occurred_at")


@pytest.mark.parametrize(("text", "good"), [("9999-12-31T23:59:59Z", True), ("9999-12-31T23:59:59-08:00", False)])
def test_expiry_at_the_end_of_time(text: str, good: bool) -> None:
    """A grant may run as long as a time can be written, and no longer."""
    event = read("credit-grants", msgspec.json.encode(VALID["credit-grants"] | {"expires_at": text}))
    assert isinstance(event, CreditGrant if good else BadInput)


def test_too_large() -> None:
    """64 KiB of value or key are taken, one byte more is not, whatever else is wrong."""
    padding = b" " * (MAX_BYTES - len(REQUEST))
    assert isinstance(read("drawdown-requests", REQUEST + padding), DrawdownRequest)
    assert _reason(read("drawdown-requests", REQUEST + padding + b" ")) == "too_large"
    assert _reason(read("drawdown-requests", b"x" * (MAX_BYTES + 1))) == "too_large"
    assert _reason(read("drawdown-requests", b"{", key=b"k" * (MAX_BYTES + 1))) == "too_large"


@pytest.mark.parametrize("key", [None, b"", b"cust-2", b"cust-1\n", b'"cust-1"', b"\xff"])
def test_key_mismatch(key: bytes | None) -> None:
    """The record key is the id in the body, byte for byte."""
    assert _reason(read("drawdown-requests", REQUEST, key=key)) == "key_mismatch"


def test_key_of_signals_is_the_funder() -> None:
    """A capture signal is keyed by its funder, even when it names a customer."""
    value = msgspec.json.encode(VALID["capture-signals"])
    assert _reason(read("capture-signals", value, key=b"cust-1")) == "key_mismatch"


def test_timestamp_in_future() -> None:
    """A record may be stamped up to the latest time, on the stream clock up to where times can be written."""
    assert isinstance(read("drawdown-requests", REQUEST, timestamp=NOW, latest=NOW), DrawdownRequest)
    assert _reason(read("drawdown-requests", REQUEST, timestamp=NOW + 1, latest=NOW)) == "timestamp_in_future"
    assert isinstance(read("drawdown-requests", REQUEST, timestamp=NOW * 100, latest=None), DrawdownRequest)
    assert _reason(read("drawdown-requests", REQUEST, timestamp=2**63 - 1, latest=None)) == "timestamp_in_future"


@pytest.mark.parametrize("timestamp", [-1, -(2**63)])
def test_record_without_time(timestamp: int) -> None:
    """A record without a timestamp cannot be placed in stream time."""
    assert _reason(read("drawdown-requests", REQUEST, timestamp=timestamp)) == "schema"


@pytest.mark.parametrize("topic", VALID.keys() - {"drawdown-requests"})
def test_unknown_funder(topic: str) -> None:
    """A funder that is not configured is refused where it acts; a request may exclude whom it likes."""
    value = msgspec.json.encode(VALID[topic] | {"funder_id": "nobody"})
    key = b"nobody" if topic == "capture-signals" else b"cust-1"
    assert _reason(read(topic, value, key=key)) == "unknown_funder"


def test_first_reason_in_order() -> None:
    """A record that is bad in every way gets the reasons one after the other as each is put right."""
    document = VALID["credit-grants"] | {"funder_id": "nobody", "credit_limit": -1}
    late = partial(read, "credit-grants", timestamp=NOW + 1, latest=NOW)
    large = b"{" + b" " * MAX_BYTES
    assert _reason(late(large, key=b"x")) == "too_large"
    assert _reason(late(b"{", key=b"x")) == "not_json"
    assert _reason(late(msgspec.json.encode(document), key=b"x")) == "schema"
    value = msgspec.json.encode(document | {"credit_limit": 1})
    assert _reason(late(value, key=b"x")) == "key_mismatch"
    assert _reason(late(value)) == "timestamp_in_future"
    assert _reason(read("credit-grants", value)) == "unknown_funder"


def test_unknown_fields_are_counted() -> None:
    """Fields that publishers are ahead of us with change nothing, and are counted by topic."""
    counts: dict[str, int] = {}
    value = msgspec.json.encode(VALID["drawdown-requests"] | {"channel": "app", "device": {"os": [1, None]}})
    event = read("drawdown-requests", value, unknown_fields=counts)
    assert event == read("drawdown-requests", REQUEST, unknown_fields=counts)
    assert counts == {"drawdown-requests": 2}
    read("drawdown-requests", value, unknown_fields=counts)
    assert counts == {"drawdown-requests": 4}


def test_funders_of_the_examples_are_the_default_ones() -> None:
    """The examples are judged with the funders that the contract's configuration has."""
    assert all(record["value"].get("funder_id", "cf-west") in FUNDERS for record in _examples("story.jsonl"))
