"""OpenTelemetry traces, sent by OTLP over HTTP; off where `OTEL_EXPORTER_OTLP_ENDPOINT` is not set.

OpenTelemetry is the extra ``otel``: nothing of it is imported where traces are off.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal

from pvm_core.errors import InputError
from pvm_resources.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OtelSpan

SpanKind = Literal["server", "internal", "producer"]
Attributes = Mapping[str, str | int | float | bool]
#: Name of W3C Trace Context's header, and of the key under which OpenTelemetry writes and reads it.
TRACEPARENT: Final = "traceparent"


class Span:
    """A span that has begun.

    Args:
        inner: OpenTelemetry's; None where traces are off.
    """

    def __init__(self, inner: OtelSpan | None) -> None:
        self._inner = inner

    @property
    def traceparent(self) -> str | None:
        """As W3C Trace Context writes it, to be another span's parent; None where traces are off."""
        if self._inner is None:
            return None
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._inner))
        return carrier.get(TRACEPARENT)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Within the block it is what `Tracing.current` of this thread (or task) says."""
        if self._inner is None:
            yield
            return
        from opentelemetry.trace import use_span

        with use_span(self._inner, record_exception=False, set_status_on_exception=False):
            yield

    def rename(self, name: str) -> None:
        """Gives it the name that is known only at its end."""
        if self._inner is not None:
            self._inner.update_name(name)

    def note(self, attributes: Attributes) -> None:
        """Adds attributes."""
        if self._inner is not None:
            self._inner.set_attributes(dict(attributes))

    def fail(self, reason: str) -> None:
        """It ends in an error."""
        if self._inner is not None:
            from opentelemetry.trace import Status, StatusCode

            self._inner.set_status(Status(StatusCode.ERROR, reason))

    def end(self) -> None:
        """It ends now."""
        if self._inner is not None:
            self._inner.end()


class Tracing:
    """The spans of one process.

    Args:
        provider: OpenTelemetry's; None: traces are off, and every method does nothing.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider

    @classmethod
    def of(cls, settings: Settings, service: str) -> Tracing:
        """As the settings say.

        Args:
            service: what calls itself so in traces, e.g. ``pvm-api``.

        Raises:
            InputError: ``settings.tracing``: the extra is not installed.
        """
        if not settings.otlp_endpoint:
            return cls()
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise InputError(
                "settings.tracing",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                f"traces need the package {error.name}",
                'Install the extra: uv pip install -e ".[otel]"',
            ) from error
        headers = settings.otlp_headers.get_secret_value() if settings.otlp_headers else ""
        exporter = OTLPSpanExporter(
            endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", headers=_headers(headers)
        )
        provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    @property
    def on(self) -> bool:
        """Whether spans are recorded."""
        return self._provider is not None

    @property
    def current(self) -> str | None:
        """`Span.traceparent` of the span that is active in this thread or task; None where none is."""
        if self._provider is None:
            return None
        from opentelemetry.trace import get_current_span

        found = get_current_span()
        return Span(found).traceparent if found.get_span_context().is_valid else None

    def begin(
        self,
        name: str,
        *,
        parent: str | None = None,
        kind: SpanKind = "internal",
        attributes: Attributes | None = None,
    ) -> Span:
        """A span that begins now; whoever begins it ends it.

        Args:
            parent: `Span.traceparent` of another span, of any process; what is none begins a trace.
        """
        if self._provider is None:
            return Span(None)
        from opentelemetry.trace import SpanKind as OtelKind

        return Span(
            self._provider.get_tracer("pvm").start_span(
                name, _context(parent), OtelKind[kind.upper()], dict(attributes or {})
            )
        )

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        kind: SpanKind = "internal",
        attributes: Attributes | None = None,
    ) -> Iterator[Span]:
        """A span around a block; an error that leaves the block is its end."""
        found = self.begin(name, parent=parent, kind=kind, attributes=attributes)
        try:
            yield found
        except BaseException as error:
            found.fail(type(error).__name__)
            raise
        finally:
            found.end()

    def close(self) -> None:
        """Sends what is not sent yet, and ends."""
        if self._provider is not None:
            self._provider.shutdown()


def _context(parent: str | None) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACEPARENT: parent} if parent else {}, Context())


def _headers(text: str) -> dict[str, str]:
    """From ``name=value,other=value``, as OpenTelemetry writes them."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip(): value.strip() for name, _, value in pairs}
