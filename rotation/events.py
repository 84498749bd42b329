"""Input events as the contract defines them: the one place where their fields, types and bounds live.

The JSON Schemas and the AsyncAPI document are generated from these types. Money is integer fen, rates are
integer basis points, times are aware datetimes (use `millis`). Unknown fields are accepted and ignored. A type
raises `msgspec.ValidationError` for what it cannot be, with a message that names the field and never its value.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec

#: Largest money value: the largest integer that every JSON reader and Redis' Lua hold exactly.
MAX_MONEY = 2**53 - 1

# `\Z`, because Python's `$` also matches before a line end; the JSON Schemas say `$`, which there does not.
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z")]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
PositiveMoney = Annotated[int, msgspec.Meta(gt=0, le=MAX_MONEY)]
Money = Annotated[int, msgspec.Meta(ge=0, le=MAX_MONEY)]
Region = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}\Z")]
RiskGrade = Literal["A", "B", "C", "D", "E"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
#: Later times have no RFC 3339 form in UTC; what occurs leaves a year for the periods that are added to it.
_LAST_TIME = datetime.max.replace(tzinfo=UTC)
_LAST_OCCURRENCE = datetime(9999, 1, 1, tzinfo=UTC)


def millis(at: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


class RequiredWhen(NamedTuple):
    """With this `status`, these fields are required as well."""

    status: str
    fields: tuple[str, ...]


class Event(msgspec.Struct, frozen=True):
    """What every input has: its own id, and the time at which it happened at the publisher."""

    event_id: Id
    occurred_at: Time

    def __post_init__(self) -> None:
        _require_time("occurred_at", self.occurred_at, _LAST_OCCURRENCE)


class CreditGrant(Event, frozen=True):
    """A funder's answer to a credit application."""

    required_when: ClassVar = RequiredWhen("approved", ("credit_limit", "apr_bp", "expires_at"))

    customer_id: Id
    funder_id: Id
    status: Literal["approved", "declined", "revoked", "expired"]
    credit_limit: PositiveMoney | None = None
    apr_bp: Annotated[int, msgspec.Meta(ge=0, le=10000)] | None = None
    expires_at: Time | None = None
    region: Region | None = None
    risk_grade: RiskGrade | None = None

    def __post_init__(self) -> None:
        Event.__post_init__(self)
        _require_time("expires_at", self.expires_at, _LAST_TIME)
        _require_all(self)


class DrawdownRequest(Event, frozen=True):
    """A borrower wants money: route it."""

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

    def __post_init__(self) -> None:
        Event.__post_init__(self)
        _require_time("expires_at", self.expires_at, _LAST_TIME)


class DrawdownOutcome(Event, frozen=True):
    """What became of a routed drawdown."""

    required_when: ClassVar = RequiredWhen("disbursed", ("amount",))

    drawdown_id: Id
    customer_id: Id
    funder_id: Id
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    status: Literal["disbursed", "declined", "cancelled", "timed_out", "failed"]
    reason: str | None = None
    amount: PositiveMoney | None = None

    def __post_init__(self) -> None:
        Event.__post_init__(self)
        _require_all(self)


class Repayment(Event, frozen=True):
    """An instalment, a settlement or an overdue notice of a loan."""

    drawdown_id: Id
    customer_id: Id
    funder_id: Id
    kind: Literal["instalment", "settled", "settled_early", "overdue", "written_off"]
    principal: Money
    outstanding: Money
    days_past_due: Annotated[int, msgspec.Meta(ge=0)] | None = None


class CaptureSignal(Event, frozen=True):
    """Direct evidence of capture."""

    funder_id: Id
    kind: Literal["canary_contacted", "borrower_report", "bureau_inquiry"]
    customer_id: Id | None = None
    note: str | None = None


BorrowerEvent = CreditGrant | DrawdownRequest | DrawdownOutcome | Repayment


def _require_all(event: CreditGrant | DrawdownOutcome) -> None:
    status, fields = event.required_when
    if event.status == status:
        for field in fields:
            if getattr(event, field) is None:
                raise ValueError(f"Object missing required field `{field}` (status is {status})")


def _require_time(field: str, at: datetime | None, last: datetime) -> None:
    if at is not None and not _EPOCH <= at <= last:
        raise ValueError(f"Expected a time from {_EPOCH:%Y} to {last:%Y} - at `$.{field}`")
