"""A span for each request, and the trace of the job that one begins."""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pvm_resources.store.job_traces import JobTraces
from pvm_resources.tracing import TRACEPARENT, Span, Tracing

#: Probes and scrapes, which nobody looks for in traces.
_UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class SpanMiddleware:
    """Around every request where traces are on; a caller's own trace goes on. Pure ASGI."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not self._tracing.on or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        parent = Headers(scope=scope).get(TRACEPARENT)
        method = scope["method"]
        attributes = {"http.request.method": method}
        with self._tracing.span(method, parent=parent, kind="server", attributes=attributes) as span:
            scope.setdefault("state", {})["span"] = span

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _answered(span, message["status"])
                await send(message)

            try:
                with span.active():
                    await self._app(scope, receive, noting)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                span.rename(f"{method} {route}")
                span.note({"http.route": route})


def _answered(span: Span, status: int) -> None:
    span.note({"http.response.status_code": status})
    if status >= 500:
        span.fail(str(status))


async def begin_job_trace(request: Request, traces: JobTraces, job_id: str) -> None:
    """The job's run and deliveries belong to the request's trace; nothing where traces are off."""
    span: Span | None = request.scope["state"].get("span")
    if span is not None and (parent := span.traceparent) is not None:
        span.note({"pvm.job_id": job_id})
        await run_in_threadpool(traces.begin, job_id, parent)
