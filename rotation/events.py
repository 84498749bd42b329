"""Input events as the contract defines them: the one place where their fields, types and bounds live.

The JSON Schemas and the AsyncAPI document are generated from these types. Money is integer fen, rates are
integer basis points, times are aware datetimes (use `millis`). Unknown fields are accepted and ignored.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

#: Largest money value: the largest integer that every JSON reader and Redis' Lua hold exactly.
MAX_MONEY = 2**53 - 1

Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$", min_length=1, max_length=64)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
PositiveMoney = Annotated[int, msgspec.Meta(gt=0, le=MAX_MONEY)]
Money = Annotated[int, msgspec.Meta(ge=0, le=MAX_MONEY)]
Region = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}$")]
RiskGrade = Literal["A", "B", "C", "D", "E"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def millis(at: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


class CreditGrant(msgspec.Struct, frozen=True):
    """A funder's answer to a credit application."""

    event_id: Id
    occurred_at: Time
    customer_id: Id
    funder_id: Id
    status: Literal["approved", "declined", "revoked", "expired"]
    credit_limit: PositiveMoney | None = None
    apr_bp: Annotated[int, msgspec.Meta(ge=0, le=10000)] | None = None
    expires_at: Time | None = None
    region: Region | None = None
    risk_grade: RiskGrade | None = None

    def __post_init__(self) -> None:
        if self.status == "approved":
            _require(self, "status is approved", "credit_limit", "apr_bp", "expires_at")


class DrawdownRequest(msgspec.Struct, frozen=True):
    """A borrower wants money: route it."""

    event_id: Id
    occurred_at: Time
    drawdown_id: Id
    customer_id: Id
    amount: PositiveMoney
    term_months: Annotated[int, msgspec.Meta(ge=1, le=120)]
    region: Region
    risk_grade: RiskGrade
    age: Annotated[int, msgspec.Meta(ge=18, le=100)]
    expires_at: Time | None = None
    exclude_funders: list[Id] | None = None
    canary: bool | None = None


class DrawdownOutcome(msgspec.Struct, frozen=True):
    """What became of a routed drawdown."""

    event_id: Id
    occurred_at: Time
    drawdown_id: Id
    customer_id: Id
    funder_id: Id
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    status: Literal["disbursed", "declined", "cancelled", "timed_out", "failed"]
    reason: str | None = None
    amount: PositiveMoney | None = None

    def __post_init__(self) -> None:
        if self.status == "disbursed":
            _require(self, "status is disbursed", "amount")


class Repayment(msgspec.Struct, frozen=True):
    """An instalment, a settlement or an overdue notice of a loan."""

    event_id: Id
    occurred_at: Time
    drawdown_id: Id
    customer_id: Id
    funder_id: Id
    kind: Literal["instalment", "settled", "settled_early", "overdue", "written_off"]
    principal: Money
    outstanding: Money
    days_past_due: Annotated[int, msgspec.Meta(ge=0)] | None = None


class CaptureSignal(msgspec.Struct, frozen=True):
    """Direct evidence of capture."""

    event_id: Id
    occurred_at: Time
    funder_id: Id
    kind: Literal["canary_contacted", "borrower_report", "bureau_inquiry"]
    customer_id: Id | None = None
    note: str | None = None


BorrowerEvent = CreditGrant | DrawdownRequest | DrawdownOutcome | Repayment


def _require(event: msgspec.Struct, why: str, *fields: str) -> None:
    """Refuse an event that lacks a field which its own status makes required."""
    for field in fields:
        if getattr(event, field) is None:
            raise ValueError(f"Object missing required field `{field}` ({why})")
