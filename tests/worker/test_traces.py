"""A worker that is given an OTLP endpoint sends it a span for each decision of a traced request."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from streams.embedded import LOOPBACK, EmbeddedKafka
from tests.conftest import Broker
from tests.processes import until
from tests.rotation.world import request
from tests.worker.conftest import CONFIG
from tests.worker.service import TRACE, Service, now

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def collector(spans: list[Span]) -> Iterator[str]:
    """A collector that keeps what it is sent; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent = ExportTraceServiceRequest.FromString(body)
            spans.extend(span for one in sent.resource_spans for scope in one.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((LOOPBACK, 0), Handler) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def test_spans_of_decisions(
    embedded_kafka: EmbeddedKafka, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for the traced request, below its own span, none for the other; its headers go on unchanged."""
    spans: list[Span] = []
    broker = Broker(embedded_kafka.bootstrap, idempotence=False)
    settings = broker.settings(redis_url, tmp_path, config=CONFIG, partitions=1)
    with collector(spans) as address, Service(settings) as service:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        service.create_topics()
        service.workers.start("only")
        at = now()
        service.tell(request("dd-silent", at, customer_id="c-1", expires=at))
        (asked,) = service.tell(request("dd-traced", at, customer_id="c-1", expires=at), headers=TRACE)
        service.decisions("dd-traced")
        service.workers.wait_ready("only")
        service.workers.stop()  # sends what is left
        (span,) = until(lambda: spans)
    about = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (TRACE_ID, PARENT_ID, "decide")
    assert about == {
        "loanrouter.decision_id": "dd-traced:1",
        "loanrouter.status": "rejected",
        "messaging.system": "kafka",
        "messaging.destination.name": f"{settings.topic_prefix}drawdown-requests",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": asked.offset,
    }
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60 * 10**9
    carried = dict(service.said("routing-decisions")[-1].headers)
    assert dict(TRACE).items() <= carried.items()
