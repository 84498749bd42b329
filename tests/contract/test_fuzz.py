"""Invariant: whatever the bytes, the answer is an event of the topic or a refusal, and never an exception."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rotation.events import Event
from streams.codec import INPUTS, BadInput, InputEvent
from tests.contract.documents import FUNDERS, VALID, key_of, read

TOPICS = st.sampled_from(sorted(INPUTS))
IDS = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)
TIMES = st.datetimes(
    datetime(1971, 1, 1),
    datetime(9998, 12, 30),
    timezones=st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours))) | st.just(UTC),
).map(lambda at: at.replace(second=at.second, microsecond=at.microsecond))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    """Every value that the type of a field allows."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if args := getattr(hint, "__metadata__", ()):
        meta, bare = args[0], get_args(hint)[0]
        if bare is str:
            digits = "0-9]{6}" in meta.pattern
            return st.from_regex(r"[0-9]{6}", fullmatch=True) if digits else IDS
        if bare is datetime:
            return TIMES
        low = meta.ge if meta.ge is not None else (0 if meta.gt is None else meta.gt + 1)
        return st.integers(low, meta.le)
    if get_origin(hint) is list:
        return st.lists(_values(get_args(hint)[0]), max_size=4)
    if hint in (str, bool, type(None)):
        return {str: st.text(max_size=50), bool: st.booleans(), type(None): st.none()}[hint]
    return st.one_of(*map(_values, get_args(hint)))


@st.composite
def _events(draw: Callable[[st.SearchStrategy[Any]], Any], topic: str) -> InputEvent:
    kind = INPUTS[topic].type
    hints = get_type_hints(kind, include_extras=True)
    fields = {name: draw(_values(hints[name])) for name in kind.__struct_fields__}
    if "funder_id" in fields:
        fields["funder_id"] = draw(st.sampled_from(sorted(FUNDERS)))
    required = getattr(kind, "required_when", None)
    if required is not None and fields["status"] == required.status:
        for name in required.fields:
            fields[name] = draw(_values(hints[name]).filter(lambda value: value is not None))
    return kind(**fields)


def _answered(topic: str, answer: object) -> bool:
    return isinstance(answer, BadInput | INPUTS[topic].type)


@given(TOPICS, st.binary(max_size=300), st.none() | st.binary(max_size=20), st.integers(-(2**63), 2**63 - 1))
def test_arbitrary_bytes(topic: str, value: bytes, key: bytes | None, timestamp: int) -> None:
    """Bytes of any kind are answered."""
    assert _answered(topic, read(topic, value, key=key, timestamp=timestamp))


@given(TOPICS, JSON)
def test_arbitrary_json(topic: str, document: Any) -> None:
    """JSON of any shape is answered."""
    assert _answered(topic, read(topic, msgspec.json.encode(document), key=key_of(topic)))


@given(st.data())
def test_mutated_document(data: st.DataObject) -> None:
    """A valid document with fields changed, added or taken away is answered."""
    topic = data.draw(TOPICS)
    document = VALID[topic] | data.draw(st.dictionaries(st.sampled_from(sorted(VALID[topic])) | st.text(), JSON))
    for field in data.draw(st.sets(st.sampled_from(sorted(document)))):
        del document[field]
    assert _answered(topic, read(topic, msgspec.json.encode(document), key=key_of(topic)))


@given(st.data())
def test_mutated_bytes(data: st.DataObject) -> None:
    """A valid document with a piece of its bytes replaced is answered."""
    topic = data.draw(TOPICS)
    value = msgspec.json.encode(VALID[topic])
    begin = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(begin, len(value)))
    piece = data.draw(st.binary(max_size=8) | st.sampled_from([b"\\u", b"1e999", b'"', b"}", b"\xed\xa0\x80", b"null"]))
    assert _answered(topic, read(topic, value[:begin] + piece + value[end:], key=key_of(topic)))


@given(st.data())
def test_encoded_event_is_decoded(data: st.DataObject) -> None:
    """Every event that can be, written as JSON, is read as the same event."""
    topic = data.draw(TOPICS)
    event: Event = data.draw(_events(topic))
    key = getattr(event, INPUTS[topic].key_field).encode()
    assert read(topic, msgspec.json.encode(event), key=key) == event
