"""Tracing: one trace of a message from its producer to its receipt, through OpenTelemetry, where it is wanted.

Where it is not, there is no Tracer, and nothing of OpenTelemetry is loaded for us.  Spans say ids, counts and closed
words, as logs do: never a number, a text or a secret.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SpanExporter

    from threelane.runtime.settings import Settings

NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
EXPORTERS = "opentelemetry_traces_exporter"  # the entry points of OpenTelemetry's exporters
TRACEPARENT = "traceparent"


class Span:
    """A step under way; ``traceparent`` (W3C) lets other processes continue its trace, '' when it is not traced."""

    def __init__(self, span: trace.Span, traceparent: str) -> None:
        """Hold what OpenTelemetry began."""
        self._span = span
        self.traceparent = traceparent

    def end(self, *, failed: bool = False, **attributes: str | int | bool) -> None:
        """End it now, with what it came to."""
        from opentelemetry.trace import StatusCode

        self._span.set_attributes(_named(attributes))
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracer:
    """Makes the spans of one process."""

    def __init__(self, tracer: trace.Tracer) -> None:
        """Make them with OpenTelemetry's tracer."""
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._kind = SpanKind
        self._inside = set_span_in_context
        self._headers = TraceContextTextMapPropagator()

    def begin(self, name: str) -> Span:
        """Begin a step of the caller's current trace, or of a new one."""
        span = self._tracer.start_span(name, kind=self._kind.PRODUCER)
        headers: dict[str, str] = {}
        self._headers.inject(headers, context=self._inside(span))
        return Span(span, headers.get(TRACEPARENT, ""))

    def record(
        self, name: str, traceparent: str, began_ns: int, *, failed: bool = False, **attributes: str | int | bool
    ) -> None:
        """Tell of a step that ends now, as a child of the span that ``traceparent`` names."""
        parent = self._headers.extract({TRACEPARENT: traceparent})
        span = self._tracer.start_span(name, context=parent, kind=self._kind.CONSUMER, start_time=began_ns)
        Span(span, "").end(failed=failed, **attributes)


def tracer(settings: Settings) -> Tracer | None:
    """Return the process's tracer, or None where tracing is not switched on."""
    return _tracer() if settings.otel else None


def problem() -> str:
    """Return why tracing cannot be switched on, or nothing."""
    try:
        missing = not all(find_spec(name) for name in NEEDED)
    except ModuleNotFoundError:
        missing = True
    if missing:
        return "OpenTelemetry is not installed: pip install 'threelane[otel]', or leave this unset"
    unknown = [name for name in _wanted() if not entry_points(group=EXPORTERS, name=name)]
    if unknown:
        known = ", ".join(sorted({"none", "otlp", *(one.name for one in entry_points(group=EXPORTERS))}))
        return f"OTEL_TRACES_EXPORTER names an exporter that is not installed; there are {known}"
    return ""


@cache
def _tracer() -> Tracer:
    return Tracer(_provider().get_tracer("threelane"))


def _provider() -> trace.TracerProvider:
    """Return the application's provider; where it has set none, one of our own that leaves the application's place."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    set_up = trace.get_tracer_provider()
    if not isinstance(set_up, trace.ProxyTracerProvider):
        return set_up
    told = Resource.create()
    nameless = str(told.attributes[SERVICE_NAME]).startswith("unknown_service")
    made = TracerProvider(resource=told.merge(Resource({SERVICE_NAME: "threelane"})) if nameless else told)
    for exporter in _exporters():
        made.add_span_processor(BatchSpanProcessor(exporter))
    return made


def _exporters() -> Sequence[SpanExporter]:
    return [one.load()() for name in _wanted() for one in entry_points(group=EXPORTERS, name=name)]


def _wanted() -> list[str]:
    """Return the entry points that OTEL_TRACES_EXPORTER names; our OTLP is the one over HTTP."""
    named = (name.strip() for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","))
    return ["otlp_proto_http" if name == "otlp" else name for name in named if name not in ("", "none")]


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"threelane.{name}": value for name, value in attributes.items() if value != ""}
