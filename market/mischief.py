"""What goes wrong on the way to the platform: bad records of each dead-letter reason. Pure."""

from collections.abc import Callable, Iterator
from itertools import count, cycle

import msgspec

from market.publication import Publication, moment, rfc3339

EVERY_MS = 1_300
AHEAD_MS = 10 * 60_000
KEY = b"cust-astray"
Body = dict[str, object]


def bad_records(start: int) -> Iterator[Publication]:
    """One bad record after the other, of each kind in turn, without end."""
    kinds = cycle(KINDS)
    for number in count(1):
        at = start + number * EVERY_MS
        yield next(kinds)(f"astray-{number}", at)


def _not_json(event_id: str, at: int) -> Publication:
    return Publication(at, "drawdown-requests", KEY, b'{"event_id": "' + event_id.encode(), reason="not_json")


def _not_utf8(event_id: str, at: int) -> Publication:
    return Publication(at, "repayments", KEY, b"\xff\xfe" + event_id.encode(), reason="not_json")


def _no_object(event_id: str, at: int) -> Publication:
    return Publication(at, "credit-grants", KEY, msgspec.json.encode([event_id]), reason="schema")


def _field_missing(event_id: str, at: int) -> Publication:
    body = _request(event_id, at)
    del body["amount"]
    return _record("drawdown-requests", body, at, "schema")


def _grant_without_limit(event_id: str, at: int) -> Publication:
    return _record("credit-grants", _grant(event_id, at) | {"credit_limit": None}, at, "schema")


def _negative_amount(event_id: str, at: int) -> Publication:
    return _record("drawdown-requests", _request(event_id, at) | {"amount": -5}, at, "schema")


def _no_zone(event_id: str, at: int) -> Publication:
    body = _request(event_id, at) | {"occurred_at": "2026-11-01T06:00:00"}
    return _record("drawdown-requests", body, at, "schema")


def _key_of_another(event_id: str, at: int) -> Publication:
    value = msgspec.json.encode(_request(event_id, at))
    return Publication(at, "drawdown-requests", b"cust-other", value, reason="key_mismatch")


def _no_key(event_id: str, at: int) -> Publication:
    return Publication(at, "credit-grants", None, msgspec.json.encode(_grant(event_id, at)), reason="key_mismatch")


def _from_the_future(event_id: str, at: int) -> Publication:
    value = msgspec.json.encode(_request(event_id, at))
    return Publication(at, "drawdown-requests", KEY, value, ahead_ms=AHEAD_MS, reason="timestamp_in_future")


def _unknown_funder(event_id: str, at: int) -> Publication:
    return _record("credit-grants", _grant(event_id, at) | {"funder_id": "bank-unheard-of"}, at, "unknown_funder")


def _signal_of_unknown_funder(event_id: str, at: int) -> Publication:
    funder_id = "bank-unheard-of"
    body = {"event_id": event_id, "occurred_at": _time(at), "funder_id": funder_id, "kind": "borrower_report"}
    value = msgspec.json.encode(body)
    return Publication(at, "capture-signals", funder_id.encode(), value, reason="unknown_funder")


def _outcome_of_nothing(event_id: str, at: int) -> Publication:
    body = _about_nothing(event_id, at) | {"attempt": 1, "status": "declined"}
    return _record("drawdown-outcomes", body, at, "unknown_drawdown")


def _repayment_of_nothing(event_id: str, at: int) -> Publication:
    body = _about_nothing(event_id, at) | {"kind": "instalment", "principal": 1, "outstanding": 0}
    return _record("repayments", body, at, "unknown_drawdown")


def _too_large(event_id: str, at: int) -> Publication:
    body = _request(event_id, at) | {"remarks": "x" * 70_000}
    return _record("drawdown-requests", body, at, "too_large", (("traceparent", b"00-" + b"a" * 32 + b"-bb-01"),))


KINDS: tuple[Callable[[str, int], Publication], ...] = (
    _not_json,
    _field_missing,
    _key_of_another,
    _unknown_funder,
    _outcome_of_nothing,
    _too_large,
    _from_the_future,
    _repayment_of_nothing,
    _not_utf8,
    _no_object,
    _grant_without_limit,
    _negative_amount,
    _no_zone,
    _no_key,
    _signal_of_unknown_funder,
)


def _record(topic: str, body: Body, at: int, reason: str, headers: tuple[tuple[str, bytes], ...] = ()) -> Publication:
    return Publication(at, topic, KEY, msgspec.json.encode(body), headers, reason=reason)


def _request(event_id: str, at: int) -> Body:
    return {
        "event_id": event_id,
        "occurred_at": _time(at),
        "drawdown_id": f"dd-{event_id}",
        "customer_id": KEY.decode(),
        "amount": 500_000,
        "term_months": 12,
        "region": "310000",
        "risk_grade": "A",
        "age": 30,
    }


def _grant(event_id: str, at: int) -> Body:
    return {
        "event_id": event_id,
        "occurred_at": _time(at),
        "customer_id": KEY.decode(),
        "funder_id": "cf-west",
        "status": "approved",
        "credit_limit": 1_000_000,
        "apr_bp": 1_800,
        "expires_at": _time(at + 86_400_000),
    }


def _about_nothing(event_id: str, at: int) -> Body:
    return {
        "event_id": event_id,
        "occurred_at": _time(at),
        "drawdown_id": "dd-never-seen",
        "customer_id": KEY.decode(),
        "funder_id": "cf-west",
    }


def _time(at: int) -> str:
    return rfc3339(moment(at))
