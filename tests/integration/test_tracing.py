"""One trace from the producer to the receipt, read from what each process exports."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from tests.integration.api import API
from tests.integration.conftest import SECRET, Workers, threelane_child
from tests.servers import RedisServer, free_port, threelane, wait_until
from threelane import Accepted, InvalidSettings, Producer, ProducerSettings, Refused, Status, Unavailable
from threelane.runtime import tracing
from threelane.runtime.settings import load
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.worker.policy.statuses import meaning

needed = "OpenTelemetry is not installed: pip install 'threelane[otel]'"
pytest.importorskip("opentelemetry.sdk", reason=needed)
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason=needed)

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

TO, FAILS_ONCE, OPTED_OUT = "27999500001", "27999190101", "27999112200"
TEXT = "The secret word is zanzibar"


class Seen(NamedTuple):
    """A span that ended, from any exporter; ids in hexadecimal."""

    name: str
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]
    service: str = ""
    took_ns: int = 0


class Collector:
    """An OTLP collector on a port of its own; it keeps what comes."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.spans += exported(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.environment = {
            "THREELANE_OTEL": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def exported(request: ExportTraceServiceRequest) -> Iterator[Seen]:
    for resource in request.resource_spans:
        service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
        for scope in resource.scope_spans:
            for span in scope.spans:
                fields = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
                ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                took_ns = span.end_time_unix_nano - span.start_time_unix_nano
                yield Seen(span.name, *ids, span.status.code == 2, fields, service, took_ns)


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


class Application:
    """An application with spans of its own, which has set up OpenTelemetry."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> list[Seen]:
        return [
            Seen(
                span.name,
                f"{span.context.trace_id:032x}",
                f"{span.context.span_id:016x}",
                f"{span.parent.span_id:016x}" if span.parent else "",
                not span.status.is_ok and not span.status.is_unset,
                dict(span.attributes or {}),
            )
            for span in self._exporter.get_finished_spans()
        ]


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """Instead of the one provider that a process can have."""
    made = Application()
    monkeypatch.setattr(tracing, "_provider", lambda: made.provider)
    tracing._tracer.cache_clear()
    yield made
    tracing._tracer.cache_clear()


@pytest.fixture
def traced(client: redis.Redis, redis_server: RedisServer, application: Application) -> Iterator[Producer]:
    """A producer that traces."""
    assert client.ping()
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway=API.name, otel=True)) as made:
        yield made


@pytest.mark.main_job
def test_a_message_is_one_trace_from_its_producer_to_its_receipt(
    application: Application,
    traced: Producer,
    collector: Collector,
    sandbox: Running,
    workers: Workers,
    base_environment: dict[str, str],
    until: Callable[..., Any],
) -> None:
    """The application's request, accept, a first attempt that fails, a second, and the receipt; three processes."""
    environment = base_environment | collector.environment
    callbacks = threelane_child("callbacks", workers.folder, environment)
    workers.children.append(callbacks)
    address = callbacks.event("callbacks")["url"].replace("<secret>", SECRET)
    sandbox.control("POST", "settings", {"callback_url": address, "callback_retry_scale": 0.002})
    workers.environment = environment
    workers.start(retry_every_seconds=0.2, clickatell_password="sandbox")

    with application.provider.get_tracer("shop").start_as_current_span("checkout"):
        message = traced.send(FAILS_ONCE, TEXT, lane=2, client_message_id="order7").id
    until(message, Status.DELIVERED)
    wait_until(lambda: has_ended(collector.spans), what="all spans")
    accept, checkout = application.spans
    attempts = [span for span in collector.spans if span.name == "attempt"]

    assert ["accept", "checkout"] == [accept.name, checkout.name]
    assert (checkout.trace, checkout.id) == (accept.trace, accept.parent)
    assert {accept.trace} == {span.trace for span in collector.spans}
    assert {accept.id} == {span.parent for span in collector.spans}
    assert {"threelane"} == {span.service for span in collector.spans}
    assert {message} == {span.attributes["threelane.id"] for span in [accept, *collector.spans]}
    tried = {"threelane.id": message, "threelane.lane": 2, "threelane.gateway": API.name}
    refused = {"threelane.attempt": 1, "threelane.outcome": "refused", "threelane.code": API.code("901")}
    assert [tried | refused, tried | {"threelane.attempt": 2, "threelane.outcome": "accepted"}] == [
        span.attributes for span in attempts
    ]
    assert [True, False] == [span.failed for span in attempts]
    assert all(0 < span.took_ns < 10_000_000_000 for span in collector.spans)
    shown = repr([accept, *collector.spans])
    for hidden in ("zanzibar", FAILS_ONCE, FAILS_ONCE[-8:], SECRET, "order7", "password", "http://"):
        assert hidden not in shown


def has_ended(spans: list[Seen]) -> bool:
    """Return whether both attempts and the last receipt were exported."""
    ends = [meaning(one.attributes["threelane.network_status"]) for one in spans if one.name == "receipt"]
    return Status.DELIVERED in ends and 2 == sum(one.name == "attempt" for one in spans)


def kept(client: redis.Redis, message: str) -> str:
    """Return the traceparent of a record without its flags."""
    return client.hget(keys.record(message), "trace").decode().rpartition("-")[0]


def test_each_message_of_a_bulk_has_a_trace_of_its_own_where_its_caller_has_none(
    application: Application, traced: Producer, client: redis.Redis
) -> None:
    """And a refusal and a repetition are marked as such; the record keeps the first trace."""
    same = {"to": TO, "text": "Hello", "client_message_id": "a"}
    client.hset(keys.SUPPRESSED, OPTED_OUT, '[{"source":"test","code":"122","evidence":"","first":0,"last":0}]')
    answers = traced.send_many([same, {"to": TO, "text": "Other"}, same, {"to": OPTED_OUT, "text": "No"}])

    assert [Accepted, Accepted, Accepted, Refused] == [type(one) for one in answers]
    assert 4 == len({span.trace for span in application.spans})
    assert ["accepted", "accepted", "repeated", "refused"] == [
        span.attributes["threelane.result"] for span in application.spans
    ]
    assert "122" == application.spans[3].attributes["threelane.code"]
    first = application.spans[0]
    assert f"00-{first.trace}-{first.id}" == kept(client, answers[0].id)


def test_an_accept_without_an_answer_from_redis_is_traced_as_failed(application: Application, traced: Producer) -> None:
    """A trace is read most when something went wrong."""
    now = traced.now()
    traced._enqueuer.now = lambda: now  # type: ignore[method-assign]
    traced._enqueuer._drafter._routes_at = traced._enqueuer._drafter._wording._lines_at = now
    traced._client = redis.Redis(port=free_port())
    with pytest.raises(Unavailable):
        traced.send(TO, "Hello")

    (span,) = application.spans
    assert (True, {"threelane.error": "ConnectionError"}) == (span.failed, span.attributes)


def test_the_command_line_exports_its_spans_before_it_ends(
    collector: Collector, base_environment: dict[str, str], client: redis.Redis
) -> None:
    """By OpenTelemetry's own variables, the service's name among them."""
    environment = base_environment | collector.environment | {"OTEL_SERVICE_NAME": "shop"}
    assert 0 == threelane("send", TO, "Hello", environment=environment).returncode

    (accept,) = collector.spans
    assert ("accept", "shop", "") == (accept.name, accept.service, accept.parent)
    assert f"00-{accept.trace}-{accept.id}" == kept(client, accept.attributes["threelane.id"])


def test_a_collector_that_is_away_stops_nothing(base_environment: dict[str, str], client: redis.Redis) -> None:
    """A failed trace does not stop a message."""
    away = {"THREELANE_OTEL": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    assert 0 == threelane("send", TO, "Hello", environment=base_environment | away).returncode
    assert 1 == client.zcard(keys.QUEUED[3])


def test_nothing_is_traced_unless_it_is_wanted(producer: Producer, client: redis.Redis) -> None:
    """No field in the record, and what an exporter needs is not loaded."""
    message = producer.send(TO, "Hello").id
    assert None is tracing.tracer(enabled=ProducerSettings().otel)
    assert not client.hexists(keys.record(message), "trace")
    loads = "import sys; from threelane import Producer; Producer(); print('opentelemetry.exporter' in sys.modules)"
    assert "False\n" == subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True).stdout


def test_a_missing_package_is_reported_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And nothing else of the settings is in doubt."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREELANE_OTEL", "true")
    monkeypatch.setattr(tracing, "NEEDED", ("opentelemetry.sdk", "opentelemetry_that_is_not.there"))
    with pytest.raises(InvalidSettings) as invalid:
        load(ProducerSettings)
    assert (
        "  THREELANE_OTEL: OpenTelemetry is not installed: pip install 'threelane[otel]', or leave this unset"
        == str(invalid.value)
    )


def test_a_missing_exporter_is_reported_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not when the first span is lost."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console,pigeon")
    with pytest.raises(InvalidSettings, match="OTEL_TRACES_EXPORTER names an exporter that is not installed"):
        load(ProducerSettings, otel=True)
    for fine in ("none", "", "otlp", "console, otlp"):
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", fine)
        assert load(ProducerSettings, otel=True).otel


def test_a_collector_that_never_answers_does_not_hold_the_end_of_a_process(redis_server: RedisServer) -> None:
    """OpenTelemetry waits for it up to 30 s: a command or a short job would take that long."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            "THREELANE_REDIS_URL": redis_server.url,
            "THREELANE_OTEL": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "600",
        }
        ended = threelane("send", TO, TEXT, environment=environment, timeout=25)

    assert 0 == ended.returncode, ended.stderr
    assert "" == ended.stderr
