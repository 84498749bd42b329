"""Invariant: what is written as a line of a log is read as the very record that it was, whatever bytes it held.

Lines that a person or another program wrote may leave out what is the same for all.
"""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.settings import Settings
from streams.log import LogError, LogRecord, log_line, read_log

numbers = st.integers(-(2**63), 2**63 - 1)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
values = (
    st.none()
    | st.binary()
    | st.text().map(str.encode)
    | documents.map(lambda document: json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())
    | documents.map(lambda document: json.dumps(document, indent=1).encode())
)
records = st.builds(
    LogRecord,
    topic=st.text(min_size=1),
    partition=numbers,
    offset=numbers,
    timestamp=numbers,
    key=st.none() | st.binary() | st.text().map(str.encode),
    value=values,
    headers=st.lists(st.tuples(st.text(), st.none() | st.binary()), max_size=3).map(tuple),
)
PLAIN = LogRecord("credit-grants", 0, 0, 0, None, None)


@given(records)
@example(LogRecord("repayments", 0, 0, 0, b"", b"null"))
@example(LogRecord("repayments", 0, 0, 0, b"\xff", b""))
@example(LogRecord("repayments", 0, 0, 0, None, b"[" * 100_000))
@example(LogRecord("repayments", 0, 0, 0, None, b"1E400"))
@example(LogRecord("repayments", 0, 0, 0, None, b'{"a":1,"a":2}'))
@example(LogRecord("repayments", 0, 0, 0, None, b'"\xe2\x80\xa8"', (("h", None), ("h", b""), ("h", b"\xff"))))
def test_a_record_comes_back_as_it_was(record: LogRecord) -> None:
    """One line each, with its line end and no other in it."""
    line = log_line(record)

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert list(read_log([line], Settings())) == [record]
    assert log_line(record) == line


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b'{"a":[1,2.5,null]}', {"value": {"a": [1, 2.5, None]}}),
        (b'{"a": 1}', {"value_text": '{"a": 1}'}),
        (b'{"a": ', {"value_text": '{"a": '}),
        ("东方".encode(), {"value_text": "东方"}),
        (b"\xff", {"value_base64": "/w=="}),
        (b"null", {"value_text": "null"}),
        (None, {"value": None}),
    ],
)
def test_a_value_is_written_as_legibly_as_it_can_be(value: bytes | None, written: dict[str, Any]) -> None:
    """A document as itself, any other text as text, and bytes only where there is no other way."""
    line = json.loads(log_line(LogRecord("repayments", 0, 0, 0, None, value)))

    assert {name: line[name] for name in line if name.startswith("value")} == written


def test_a_line_by_hand_may_be_short() -> None:
    """Offsets count the lines, headers may be an object or left out, blank lines are nothing."""
    text: list[str | bytes] = [
        "",
        '{"topic":"repayments","timestamp":5,"key":"ann","value":{"a":1}}',
        b'{"topic":"repayments","timestamp":6,"key":"ann","value":null,"headers":{"h":"x"}}',
        '{"topic":"repayments","timestamp":7,"key":"ann","value":null,"headers":[{"key":"h","value":"x"}]}',
    ]

    read = list(read_log(text, Settings()))

    assert [record.offset for record in read] == [1, 2, 3]
    assert [record.headers for record in read] == [(), (("h", b"x"),), (("h", b"x"),)]
    assert read[0].value == b'{"a":1}'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "log:2: Input data was truncated"),
        ("[]", "log:2: "),
        ("[" * 100_000, "log:2: "),
        ('{"topic":"x","timestamp":1,"value":' + "[" * 100_000, "log:2: "),
        ("7", "log:2: "),
        ('{"timestamp":1,"value":null}', "log:2: topic is missing"),
        ('{"topic":"x","value":null}', "log:2: timestamp is missing"),
        ('{"topic":"x","timestamp":"soon","value":null}', "log:2: "),
        ('{"topic":"x","timestamp":1}', "log:2: value is missing"),
        ('{"topic":"x","timestamp":1,"key":7,"value":null}', "log:2: key is neither text nor null"),
        ('{"topic":"x","timestamp":1,"key_base64":"?","value":null}', "log:2: "),
        ('{"topic":"x","timestamp":1,"value":null,"headers":[["h"]]}', "log:2: "),
        ('{"topic":"x","timestamp":1,"value":null,"headers":7}', "log:2: "),
    ],
)
def test_a_line_that_is_none_is_told_by_its_number(line: str, says: str) -> None:
    """Which line, and what is wrong with it."""
    with pytest.raises(LogError) as refusal:
        list(read_log([log_line(PLAIN), line], Settings()))

    assert str(refusal.value).startswith(says)
