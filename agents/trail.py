"""What is told of single decisions and refusals, once they are written, to who asked for it: lines of the debug log.

It holds ids only: nothing of whom a decision is about.
"""

import logging

import msgspec

from streams.batches import Record
from streams.headers import Trace, trace_headers, trace_id

log = logging.getLogger("loanrouter.decisions")


class _Decided(msgspec.Struct):
    decision_id: str
    status: str


_decoder = msgspec.json.Decoder(_Decided)


class Trail:
    """The decisions and refusals of one batch."""

    def __init__(self) -> None:
        self._decided: list[tuple[bytes, Trace, Record | None]] = []
        self._refused: list[tuple[Record, str]] = []

    @classmethod
    def begin(cls) -> "Trail | None":
        """None when nobody wants to know: then nothing is gathered either."""
        return cls() if log.isEnabledFor(logging.DEBUG) else None

    def decided(self, value: bytes, trace: Trace, cause: Record | None) -> None:
        """A decision's bytes, its trace context, and the record that caused it, if one did."""
        self._decided.append((value, trace, cause))

    def refused(self, record: Record, reason: str) -> None:
        """A record that becomes a dead letter."""
        self._refused.append((record, reason))

    def tell(self) -> None:
        """All of it is written: tell."""
        for value, trace, cause in self._decided:
            decision = _decoder.decode(value)
            ids = {"decision_id": decision.decision_id, "trace_id": trace_id(trace), **_place(cause)}
            log.debug("%s %s", decision.status, decision.decision_id, extra=ids)
        for record, reason in self._refused:
            ids = {"trace_id": trace_id(trace_headers(record.headers)), **_place(record)}
            log.debug("refused a record: %s", reason, extra=ids)


def _place(record: Record | None) -> dict[str, str | int]:
    if record is None:
        return {}
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
