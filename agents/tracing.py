"""Spans of decisions for whoever follows a request through Kafka: OpenTelemetry, of the extra `loanrouter[otel]`.

The standard variables `OTEL_*` configure it; without an endpoint nothing is imported, and nothing gathered.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streams.batches import Record
from streams.headers import Trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger("loanrouter.tracing")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Tracing:
    """One span a decision, below the span that its request names: from the beginning of its batch until it is written.

    A decision whose request has no trace context gets none.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("loanrouter")
        self._extract = TraceContextTextMapPropagator().extract
        self._kind = SpanKind.CONSUMER

    def decided(self, ids: dict[str, str], trace: Trace, cause: Record | None, began: int, ended: int) -> None:
        """Tell of one decision; times in ns."""
        if not trace:
            return
        attributes: dict[str, str | int] = {f"loanrouter.{name}": value for name, value in ids.items()}
        if cause is not None:
            attributes |= {
                "messaging.system": "kafka",
                "messaging.destination.name": cause.topic,
                "messaging.destination.partition.id": str(cause.partition),
                "messaging.kafka.offset": cause.offset,
            }
        context = self._extract({name: value.decode("latin-1") for name, value in trace})
        span = self._tracer.start_span("decide", context, self._kind, attributes, start_time=began)
        span.end(ended)


@contextmanager
def tracing() -> Iterator[Tracing | None]:
    """What traces decisions inside, None when no endpoint is configured; what is left is sent at the end."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("no traces: %s is set, but loanrouter[otel] is not installed", " or ".join(_ENDPOINTS))
        yield None
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", "loanrouter")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield Tracing(provider)
    finally:
        provider.shutdown()
