"""From record bytes to events: what is accepted, and for what reason the rest is refused (contract, section 5).

A refusal is a value, never an exception. Its detail is for a person and holds no value of the document, so that no
customer's data gets into logs or headers by way of it. Of duplicate JSON keys the last counts.
"""

import re
from collections.abc import Container, MutableMapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from rotation.events import (
    BorrowerEvent,
    CaptureSignal,
    CreditGrant,
    DrawdownOutcome,
    DrawdownRequest,
    Repayment,
    millis,
)
from rotation.outputs import FunderState

InputEvent = BorrowerEvent | CaptureSignal
"""Whatever an input topic may carry."""

Reason = Literal[
    "too_large",
    "not_json",
    "schema",
    "key_mismatch",
    "timestamp_in_future",
    "unknown_funder",
    "unknown_drawdown",
    "conflicting_duplicate",
]
"""Why an input is a dead letter; of several the first in this order is given."""

AHEAD = 5 * 60_000
"""How far ahead of the wall clock a record may be, ms (contract, section 3, Time)."""

MAX_BYTES = 64 * 1024
"""Largest record value, and largest key."""

LAST_TIMESTAMP = millis(datetime(9999, 1, 1, tzinfo=UTC))
"""Largest record timestamp (ms) that stream time can take on any clock: times after it cannot be written."""


class BadInput(msgspec.Struct, frozen=True):
    """An input that cannot be used: the reason as a code, and field and problem for a person."""

    reason: Reason
    detail: str


class Input(NamedTuple):
    """What one input topic carries: the type of its values, and the field that its record keys repeat."""

    type: type[InputEvent]
    key_field: str
    fields: frozenset[str]


def _input(event_type: type[InputEvent], key_field: str = "customer_id") -> Input:
    return Input(event_type, key_field, frozenset(event_type.__struct_fields__))


_state_decoder = msgspec.json.Decoder(FunderState)
#: What bytes of all kinds make decoders raise: text that is not UTF-8, and deep nesting, are no `DecodeError`.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
INPUTS = {
    "credit-grants": _input(CreditGrant),
    "drawdown-requests": _input(DrawdownRequest),
    "drawdown-outcomes": _input(DrawdownOutcome),
    "repayments": _input(Repayment),
    "capture-signals": _input(CaptureSignal, "funder_id"),
}
"""Every input topic by its contract name."""

# To a dictionary first and to the type after: as quick as decoding into the type and then counting unknown keys, and
# the only way that also refuses bytes that are not UTF-8 in fields that are not read.
_parse = msgspec.json.Decoder().decode


def read_state(raw: bytes | None) -> FunderState:
    """The content of a record of `funder-states`; raises one of `UNREADABLE`."""
    return _state_decoder.decode(raw or b"")


def decode(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    timestamp: int,
    *,
    known_funders: Container[str],
    latest: int | None,
    unknown_fields: MutableMapping[str, int] | None = None,
) -> InputEvent | BadInput:
    """The event of a record of the input `topic` (its contract name), or why there is none.

    `timestamp` is the record's, in ms; one after `latest` is refused (None: the stream clock, which any may move).
    Fields that the contract does not know are ignored, and counted in `unknown_fields` under the topic.
    """
    if (value is not None and len(value) > MAX_BYTES) or (key is not None and len(key) > MAX_BYTES):
        return BadInput("too_large", f"more than {MAX_BYTES} bytes")
    if value is None:
        return BadInput("schema", "no value: a record without a value means nothing here")
    spec = INPUTS[topic]
    try:
        document = _parse(value)
        event = msgspec.convert(document, spec.type)
    except msgspec.ValidationError as error:
        return BadInput("schema", _detail(str(error)))
    except msgspec.DecodeError as error:
        return BadInput("not_json", str(error))
    except UnicodeDecodeError:
        return BadInput("not_json", "not UTF-8")
    except RecursionError:
        return BadInput("not_json", "nested too deeply")
    if timestamp < 0:
        return BadInput("schema", "record timestamp: expected int >= 0")
    if key != getattr(event, spec.key_field).encode():
        return BadInput("key_mismatch", f"record key: is not the {spec.key_field} of the value")
    if timestamp > (LAST_TIMESTAMP if latest is None else latest):
        return BadInput("timestamp_in_future", "record timestamp: too far ahead of the clock")
    if not isinstance(event, DrawdownRequest) and event.funder_id not in known_funders:
        return BadInput("unknown_funder", "funder_id: no funder of the active configuration")
    if unknown_fields is not None and not spec.fields.issuperset(document):
        unknown_fields[topic] = unknown_fields.get(topic, 0) + len(document.keys() - spec.fields)
    return event


_MISSING = re.compile(r"Object missing required field `(\w+)`(.*)")
_AT = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<field>.*)`")


def _detail(message: str) -> str:
    """A validation error's message as `field: problem`, without the value that some of them repeat."""
    if match := _MISSING.fullmatch(message):
        return f"{match[1]}: missing{match[2]}"
    match = _AT.fullmatch(message)
    field, problem = (match["field"], match["problem"]) if match else ("", message)
    if problem.startswith("Invalid enum value"):
        problem = "not one of the allowed values"
    problem = problem[0].lower() + problem[1:].replace("`", "").replace(r"\\Z", "$")
    return f"{field}: {problem}" if field else problem
