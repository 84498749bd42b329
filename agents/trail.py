"""What is told of single decisions and refusals, once they are written, to who asked: the debug log, and traces.

It holds ids only: nothing of whom a decision is about.
"""

import logging
from time import time_ns

import msgspec

from agents.tracing import Tracing
from streams.batches import Record
from streams.headers import Trace, trace_headers, trace_id

log = logging.getLogger("loanrouter.decisions")


class _Decided(msgspec.Struct):
    decision_id: str
    status: str


_decoder = msgspec.json.Decoder(_Decided)


class Trail:
    """The decisions and refusals of one batch."""

    def __init__(self, tracing: Tracing | None) -> None:
        self._tracing = tracing
        self._began = time_ns()
        self._decided: list[tuple[bytes, Trace, Record | None]] = []
        self._refused: list[tuple[Record, str]] = []

    @classmethod
    def begin(cls, tracing: Tracing | None) -> "Trail | None":
        """None when nobody wants to know: then nothing is gathered either."""
        return cls(tracing) if tracing is not None or log.isEnabledFor(logging.DEBUG) else None

    def decided(self, value: bytes, trace: Trace, cause: Record | None) -> None:
        """A decision's bytes, its trace context, and the record that caused it, if one did."""
        self._decided.append((value, trace, cause))

    def refused(self, record: Record, reason: str) -> None:
        """A record that becomes a dead letter."""
        self._refused.append((record, reason))

    def tell(self) -> None:
        """All of it is written: tell."""
        now = time_ns()
        for value, trace, cause in self._decided:
            decision = _decoder.decode(value)
            if self._tracing is not None:
                self._tracing.decided(msgspec.structs.asdict(decision), trace, cause, self._began, now)
            _log(f"{decision.status} {decision.decision_id}", trace, cause, decision_id=decision.decision_id)
        for record, reason in self._refused:
            _log(f"refused a record: {reason}", trace_headers(record.headers), record)


def _log(message: str, trace: Trace, record: Record | None, **ids: str) -> None:
    if log.isEnabledFor(logging.DEBUG):
        about: dict[str, str | int | None] = {**ids, "trace_id": trace_id(trace)}
        if record is not None:
            about |= {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        log.debug(message, extra=about)
