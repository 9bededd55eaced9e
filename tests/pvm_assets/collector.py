"""A collector of traces on this machine: OTLP over HTTP, protobuf."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """A span as it came; ids in hex."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    failed: bool


class Collector:
    """Takes what is posted to ``/v1/traces``; `spans` are those that came."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                right = (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                if right:
                    packed = self.headers.get("Content-Encoding") == "gzip"
                    owner.spans += _spans(gzip.decompress(body) if packed else body)
                self.send_response(200 if right else 400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """As OTEL_EXPORTER_OTLP_ENDPOINT has it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


def _spans(body: bytes) -> list[Span]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {one.key: one.value.string_value for one in resource.resource.attributes}
        found += [
            Span(
                named["service.name"], span.name, span.trace_id.hex(), span.span_id.hex(),
                span.parent_span_id.hex(), span.status.code == span.status.STATUS_CODE_ERROR,
            )
            for scope in resource.scope_spans
            for span in scope.spans
        ]  # fmt: skip
    return found
