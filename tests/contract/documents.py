"""Documents of every input topic, valid and broken, for the decoder and the published schemas alike."""

from typing import Any, NamedTuple

from streams.codec import BadInput, InputEvent, decode

Document = dict[str, Any]

FUNDERS = frozenset({"bank-east", "cf-north", "cf-west", "trust-south"})
NOW = 1793512800000

VALID: dict[str, Document] = {
    "credit-grants": {
        "event_id": "g1",
        "occurred_at": "2026-11-01T06:00:00.000Z",
        "customer_id": "cust-1",
        "funder_id": "bank-east",
        "status": "approved",
        "credit_limit": 3000000,
        "apr_bp": 1800,
        "expires_at": "2027-04-30T06:00:00.000Z",
        "region": "310000",
        "risk_grade": "A",
    },
    "drawdown-requests": {
        "event_id": "r1",
        "occurred_at": "2026-11-01T06:00:00.000Z",
        "drawdown_id": "dd-1",
        "customer_id": "cust-1",
        "amount": 600000,
        "term_months": 12,
        "region": "310000",
        "risk_grade": "A",
        "age": 34,
        "expires_at": "2026-11-01T06:15:00.000Z",
        "exclude_funders": ["cf-west", "nobody"],
        "canary": False,
    },
    "drawdown-outcomes": {
        "event_id": "o1",
        "occurred_at": "2026-11-01T06:00:00.000Z",
        "drawdown_id": "dd-1",
        "customer_id": "cust-1",
        "funder_id": "cf-north",
        "attempt": 1,
        "status": "disbursed",
        "reason": "ok",
        "amount": 600000,
    },
    "repayments": {
        "event_id": "p1",
        "occurred_at": "2026-11-01T06:00:00.000Z",
        "drawdown_id": "dd-1",
        "customer_id": "cust-1",
        "funder_id": "cf-north",
        "kind": "overdue",
        "principal": 0,
        "outstanding": 600000,
        "days_past_due": 3,
    },
    "capture-signals": {
        "event_id": "s1",
        "occurred_at": "2026-11-01T06:00:00.000Z",
        "funder_id": "cf-north",
        "kind": "canary_contacted",
        "customer_id": "cust-1",
        "note": "来电一次",
    },
}
"""One complete document of each topic."""

OPTIONAL = {
    "credit-grants": ("region", "risk_grade"),
    "drawdown-requests": ("expires_at", "exclude_funders", "canary"),
    "drawdown-outcomes": ("reason",),
    "repayments": ("days_past_due",),
    "capture-signals": ("customer_id", "note"),
}


class Broken(NamedTuple):
    """A valid document with one field changed, and what the refusal says of it."""

    topic: str
    field: str
    value: Any
    detail: str

    def document(self) -> Document:
        """The document."""
        return VALID[self.topic] | {self.field: self.value}


_AMOUNTS = [
    (None, "expected int"),
    ("600000", "expected int, got str"),
    (True, "expected int, got bool"),
    (5000.5, "expected int, got float"),
    (0, "expected int >= 1"),
    (-5, "expected int >= 1"),
    (2**53, "expected int <= 9007199254740991"),
    (10**30, "expected int <= 9007199254740991"),
    ([1], "expected int, got array"),
]
_IDS = ["", "x" * 65, "a b", "ä", "a/b", "a\x00", " a"]
_TIMES = ["yesterday", "2026-11-01T06:00:00", "2026-11-01", "2026-11-01T06:00Z", "2026-11-01T06:00:00+08", ""]

BROKEN = [
    *(Broken("drawdown-requests", "amount", value, detail) for value, detail in _AMOUNTS),
    *(Broken("drawdown-requests", "drawdown_id", value, "expected str matching") for value in _IDS),
    *(Broken("drawdown-requests", "occurred_at", value, "") for value in _TIMES),
    Broken("drawdown-requests", "occurred_at", 1793512800000, "expected datetime, got int"),
    Broken("drawdown-requests", "expires_at", "2026-11-01T06:00:00", "expected datetime with a timezone"),
    Broken("drawdown-requests", "term_months", 0, "expected int >= 1"),
    Broken("drawdown-requests", "term_months", 121, "expected int <= 120"),
    Broken("drawdown-requests", "age", 17, "expected int >= 18"),
    Broken("drawdown-requests", "age", 101, "expected int <= 100"),
    Broken("drawdown-requests", "region", 310000, "expected str, got int"),
    Broken("drawdown-requests", "region", "31000", "expected str matching"),
    Broken("drawdown-requests", "region", "３１００００", "expected str matching"),
    Broken("drawdown-requests", "risk_grade", "F", "not one of the allowed values"),
    Broken("drawdown-requests", "risk_grade", "a", "not one of the allowed values"),
    Broken("drawdown-requests", "canary", 1, "expected bool | null, got int"),
    Broken("drawdown-requests", "exclude_funders", "cf-west", "expected array | null, got str"),
    Broken("drawdown-requests", "event_id", None, "expected str, got null"),
    Broken("credit-grants", "status", "maybe", "not one of the allowed values"),
    Broken("credit-grants", "credit_limit", None, "missing (status is approved)"),
    Broken("credit-grants", "credit_limit", 0, "expected int >= 1"),
    Broken("credit-grants", "apr_bp", None, "missing (status is approved)"),
    Broken("credit-grants", "apr_bp", -1, "expected int >= 0"),
    Broken("credit-grants", "apr_bp", 10001, "expected int <= 10000"),
    Broken("credit-grants", "expires_at", None, "missing (status is approved)"),
    Broken("drawdown-outcomes", "attempt", 0, "expected int >= 1"),
    Broken("drawdown-outcomes", "amount", None, "missing (status is disbursed)"),
    Broken("drawdown-outcomes", "reason", 5, "expected str | null, got int"),
    Broken("repayments", "kind", "paid", "not one of the allowed values"),
    Broken("repayments", "principal", -1, "expected int >= 0"),
    Broken("repayments", "outstanding", None, "expected int, got null"),
    Broken("repayments", "days_past_due", -1, "expected int >= 0"),
    Broken("capture-signals", "kind", "rumour", "not one of the allowed values"),
    Broken("capture-signals", "customer_id", "", "expected str matching"),
]
"""Refused with the reason `schema`, by decoder and JSON Schema."""


def read(
    topic: str,
    value: bytes | None,
    *,
    key: bytes | None = b"cust-1",
    timestamp: int = NOW,
    latest: int | None = None,
    unknown_fields: dict[str, int] | None = None,
) -> InputEvent | BadInput:
    """Decode with the funders and the time of these documents."""
    return decode(topic, key, value, timestamp, known_funders=FUNDERS, latest=latest, unknown_fields=unknown_fields)


def key_of(topic: str) -> bytes:
    """The record key that the valid document of the topic must have."""
    return b"cf-north" if topic == "capture-signals" else b"cust-1"
