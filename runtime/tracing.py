"""Tracing: optional OpenTelemetry traces of a message from its producer to its receipt.

Without it there is no Tracer, and OpenTelemetry is not imported.  Span attributes are ids, counts and words of a closed
set, as in logs: never a number, a text or a secret.
"""

from __future__ import annotations

import atexit
import os
import threading
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter


NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
EXPORTERS = "opentelemetry_traces_exporter"  # the entry points of OpenTelemetry's exporters
TRACEPARENT = "traceparent"
FLUSH_SECONDS = 1.0  # at the end of a process


class Span:
    """A span in progress; ``traceparent`` (W3C) lets other processes continue the trace, '' if it is not traced."""

    def __init__(self, span: trace.Span, traceparent: str) -> None:
        """Wrap a span of OpenTelemetry."""
        self._span = span
        self.traceparent = traceparent

    def end(self, *, failed: bool = False, **attributes: str | int | bool) -> None:
        """End it now, with its result as attributes."""
        from opentelemetry.trace import StatusCode

        self._span.set_attributes(_named(attributes))
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracer:
    """Creates the spans of one process."""

    def __init__(self, tracer: trace.Tracer) -> None:
        """Use a tracer of OpenTelemetry."""
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._kind = SpanKind
        self._inside = set_span_in_context
        self._headers = TraceContextTextMapPropagator()

    def begin(self, name: str) -> Span:
        """Start a span in the caller's current trace, or in a new one."""
        span = self._tracer.start_span(name, kind=self._kind.PRODUCER)
        headers: dict[str, str] = {}
        self._headers.inject(headers, context=self._inside(span))
        return Span(span, headers.get(TRACEPARENT, ""))

    def record(
        self, name: str, traceparent: str, began_ns: int, *, failed: bool = False, **attributes: str | int | bool
    ) -> None:
        """Record a span that ends now, as a child of the span that ``traceparent`` names."""
        parent = self._headers.extract({TRACEPARENT: traceparent})
        span = self._tracer.start_span(name, context=parent, kind=self._kind.CONSUMER, start_time=began_ns)
        Span(span, "").end(failed=failed, **attributes)


def tracer(*, enabled: bool) -> Tracer | None:
    """Return the tracer of the process, or None if tracing is off."""
    return _tracer() if enabled else None


def problem() -> str:
    """Return why tracing cannot be enabled, or ''."""
    try:
        missing = not all(find_spec(name) for name in NEEDED)
    except ModuleNotFoundError:
        missing = True
    if missing:
        return "OpenTelemetry is not installed: pip install 'threelane[otel]', or leave this unset"
    unknown = [name for name in _wanted() if not entry_points(group=EXPORTERS, name=name)]
    if unknown:
        known = ", ".join(sorted({"none", "otlp", *(one.name for one in entry_points(group=EXPORTERS))}))
        return f"OTEL_TRACES_EXPORTER names an exporter that is not installed; installed are {known}"
    return ""


@cache
def _tracer() -> Tracer:
    return Tracer(_provider().get_tracer("threelane"))


def _provider() -> trace.TracerProvider:
    """Return the application's provider, or one of Threelane that is not registered globally."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    set_up = trace.get_tracer_provider()
    if not isinstance(set_up, trace.ProxyTracerProvider):
        return set_up
    resource = Resource.create()
    nameless = str(resource.attributes[SERVICE_NAME]).startswith("unknown_service")
    if nameless:
        resource = resource.merge(Resource({SERVICE_NAME: "threelane"}))
    created = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in _exporters():
        created.add_span_processor(BatchSpanProcessor(exporter))
    atexit.register(_send_what_is_left, created)
    return created


def _send_what_is_left(provider: TracerProvider) -> None:
    """Give the collector ``FLUSH_SECONDS`` for the last spans; OpenTelemetry's own end waits for it up to 30 s."""
    flush = threading.Thread(target=provider.force_flush, name="threelane-traces", daemon=True)
    flush.start()
    flush.join(FLUSH_SECONDS)


def _exporters() -> Sequence[SpanExporter]:
    return [one.load()() for name in _wanted() for one in entry_points(group=EXPORTERS, name=name)]


def _wanted() -> list[str]:
    """Return the entry points that OTEL_TRACES_EXPORTER names; otlp means OTLP over HTTP."""
    named = (name.strip() for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","))
    return ["otlp_proto_http" if name == "otlp" else name for name in named if name not in ("", "none")]


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"threelane.{name}": value for name, value in attributes.items() if value != ""}
