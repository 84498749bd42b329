"""What the market publishes: a record, when, and the dead letter it should come to."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from rotation.events import BorrowerEvent, CaptureSignal

TOPICS = {
    "CreditGrant": "credit-grants",
    "DrawdownRequest": "drawdown-requests",
    "DrawdownOutcome": "drawdown-outcomes",
    "Repayment": "repayments",
    "CaptureSignal": "capture-signals",
}


@dataclass(frozen=True, slots=True)
class Publication:
    """A record to be published at `at` (ms). `ahead_ms` is how far its stamp runs ahead of that.

    `reason` is the dead-letter reason it must come to; None when it is good.
    """

    at: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    ahead_ms: int = 0
    reason: str | None = None


def publication(
    event: BorrowerEvent | CaptureSignal,
    at: int,
    *,
    reason: str | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> Publication:
    """The record of an event; optional fields that are not set are left out."""
    body = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None}
    for name, value in body.items():
        if isinstance(value, datetime):
            body[name] = rfc3339(value)
    topic = TOPICS[type(event).__name__]
    key = event.funder_id if isinstance(event, CaptureSignal) else event.customer_id
    return Publication(at, topic, key.encode(), msgspec.json.encode(body), headers, reason=reason)


def moment(ms: int) -> datetime:
    """The time that is `ms` milliseconds after the epoch."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)


def rfc3339(at: datetime) -> str:
    """The contract's form of a time: UTC with `Z`, in milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
