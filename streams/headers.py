"""Record headers of ours, and those that are passed on.

`loanrouter-position` on a decision says where its partition stood: for each borrower topic, in the order of
`BORROWER_INPUTS`, the next offset after what the decision took into account; which of them caused it (nothing for
time itself); and stream time. With it replay handles the records in the same order as the worker did.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Self

import msgspec

Headers = Iterable[tuple[str, bytes | None]]
Trace = tuple[tuple[str, bytes], ...]
"""Trace headers that have a value."""

POSITION_HEADER = "loanrouter-position"
SOURCE_HEADER = "loanrouter-source"
_TRACE = frozenset({"traceparent", "tracestate"})
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


class Position(msgspec.Struct, frozen=True):
    """How far a partition was: next offset of each borrower topic, the index of the causing one, stream time (ms)."""

    offsets: tuple[int, ...]
    cause: int | None
    now: int

    def encode(self) -> bytes:
        """The header's value: `offset,offset,…;cause;now`."""
        cause = "" if self.cause is None else self.cause
        return f"{','.join(map(str, self.offsets))};{cause};{self.now}".encode()

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a header's value; raises `ValueError` for one that is not ours."""
        offsets, cause, now = value.decode().split(";")
        return cls(tuple(int(o) for o in offsets.split(",")), int(cause) if cause else None, int(now))


class Source(NamedTuple):
    """Where a record for a funder's agent comes from (`loanrouter-source`).

    The partition of the borrower, and its `number` among all that this partition ever told funders' agents, from 1.
    """

    partition: int
    number: int

    def encode(self) -> bytes:
        """The header's value."""
        return f"{self.partition},{self.number}".encode()

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a header's value; raises `ValueError` for one that is not ours."""
        partition, number = value.split(b",")
        return cls(int(partition), int(number))


def header(headers: Headers, name: str) -> bytes | None:
    """The last header of that name."""
    return dict(headers).get(name)


def trace_headers(headers: Headers) -> Trace:
    """The trace context, which every output carries on."""
    return tuple([(name, value) for name, value in headers if name in _TRACE and value is not None])


def trace_id(trace: Headers) -> str | None:
    """The id of a trace context's trace, if it has a W3C `traceparent`."""
    found = _TRACEPARENT.fullmatch(header(trace, "traceparent") or b"")
    return None if found is None else found[1].decode()
