"""Dead letters: the record as it came, and headers that say why it could not be used (contract, section 5)."""

import time
from collections.abc import Iterable
from typing import Self

import msgspec

from config.settings import Settings
from streams.batches import Output, Record
from streams.headers import header
from streams.log import LogRecord
from streams.topics import topic_name

Headers = tuple[tuple[str, bytes | None], ...]

DEAD_LETTERS = "dead-letters"
REDRIVEN = "dlq.redriven"
"""On a record that was re-driven: how many times. It goes along when the record is refused again."""

_ADDED = frozenset({"dlq.reason", "dlq.detail", "dlq.topic", "dlq.partition", "dlq.offset", "dlq.timestamp"})


def dead_letter(settings: Settings, record: Record, reason: str, detail: str) -> Output:
    """The dead letter of `record`; the dlq.* headers of an earlier refusal are replaced.

    It is stamped with the wall clock, since a broker refuses the very time for which a record may be refused. It lies
    in the partition of the same number as the record, so that one customer's dead letters stay in order.
    """
    added = {
        "dlq.reason": reason,
        "dlq.detail": detail,
        "dlq.topic": record.topic,
        "dlq.partition": str(record.partition),
        "dlq.offset": str(record.offset),
        "dlq.timestamp": str(record.timestamp),
    }
    return Output(
        topic=topic_name(settings, DEAD_LETTERS),
        key=record.key,
        value=record.value,
        timestamp=int(time.time() * 1000),
        headers=(*original_headers(record.headers), *((name, text.encode()) for name, text in added.items())),
        partition=record.partition,
    )


def original_headers(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """The headers that the record had before it was refused, in their order."""
    return tuple((name, value) for name, value in headers if name not in _ADDED)


class DeadLetter(msgspec.Struct, frozen=True):
    """A dead letter as read: where it lies, when (ms) and why it was refused, and the record that it was.

    A record of the topic that is no dead letter of ours has the reason `unreadable` and no topic.
    """

    partition: int
    offset: int
    refused_at: int
    reason: str
    detail: str
    topic: str
    source_partition: int
    source_offset: int
    source_timestamp: int
    redriven: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @classmethod
    def read(cls, record: LogRecord) -> Self:
        """Take a record of the topic apart; never raises for what it holds."""
        headers = record.headers

        def text(name: str) -> str:
            return (header(headers, name) or b"").decode(errors="backslashreplace")

        def number(name: str) -> int:
            return int(header(headers, name) or b"")

        try:
            source = (number("dlq.partition"), number("dlq.offset"), number("dlq.timestamp"))
            reason, detail, topic = text("dlq.reason"), text("dlq.detail"), text("dlq.topic")
        except ValueError:
            source = (-1, -1, -1)
            reason, detail, topic = "unreadable", "the dlq headers are missing or wrong", ""
        try:
            redriven = number(REDRIVEN)
        except ValueError:
            redriven = 0
        return cls(
            record.partition,
            record.offset,
            record.timestamp,
            reason,
            detail,
            topic,
            *source,
            redriven,
            record.key,
            record.value,
            original_headers(headers),
        )
