"""What the HTTP API does when it is pressed: long bodies, slow ones, Redis away or full, TLS, secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import redis
import uvicorn

from tests.integration.http_api import Api
from tests.servers import RedisServer, wait_until
from threelane import InvalidSettings
from threelane.interfaces.api.guard import HEADERS
from threelane.interfaces.api.service import LONG
from threelane.interfaces.web.serve import listen_or_exit, load_or_exit
from threelane.producer.http.async_client import AsyncHttpProducer
from threelane.producer.http.client import HttpProducer
from threelane.producer.intake_check import IntakeCheck
from threelane.producer.outage import Unavailable
from threelane.runtime.settings import ApiSettings, load
from threelane.store import keys

HELLO = {"to": "27831234567", "text": "Hello"}


@pytest.fixture(scope="module")
def narrow(redis_server: RedisServer) -> Iterator[Api]:
    """An API with tight limits."""
    made = Api(redis_server.url, api_body_mib=0.1, api_threads=2).start()
    yield made
    made.stop()


# Bodies.


def test_a_body_declared_too_long_is_not_read(narrow: Api, client: redis.Redis) -> None:
    """413 while none of it was sent."""
    connection = HTTPConnection("127.0.0.1", narrow.port, timeout=10)
    connection.putrequest("POST", "/v1/messages/bulk")
    connection.putheader("Authorization", f"Bearer {narrow.key()}")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    answer = connection.getresponse()

    assert (413, "body") == (answer.status, json.loads(answer.read())["field"])
    connection.close()


def test_a_body_without_a_length_is_read_up_to_the_limit(narrow: Api, client: redis.Redis) -> None:
    """In pieces, by chunked encoding; what came until then is thrown away."""
    connection = HTTPConnection("127.0.0.1", narrow.port, timeout=10)
    pieces = (b" " * 10_000 for _ in range(50))
    headers = {"Authorization": f"Bearer {narrow.key()}"}
    connection.request("POST", "/v1/messages/bulk", pieces, headers, encode_chunked=True)

    assert 413 == connection.getresponse().status
    connection.close()


def test_a_list_that_is_too_long_is_sent_in_halves_by_the_client(narrow: Api, client: redis.Redis) -> None:
    """413 is before anything was done, so nothing is sent twice."""
    messages = [HELLO | {"text": "x" * 450, "client_message_id": f"m{n}"} for n in range(400)]
    with HttpProducer(narrow.url, narrow.key()) as producer:
        answers = producer.send_many(messages)

    assert [False] * 400 == [one.repeated for one in answers if one.accepted]
    assert 400 == client.zcard(keys.QUEUED[3])


def test_a_list_of_more_than_ten_thousand_is_refused(api: Api) -> None:
    """413 with the number."""
    response = api.request("POST", "/v1/messages/bulk", b'{"messages":[' + b"0," * 10_000 + b"0]}", api.key())

    assert (413, "10,001 messages", "messages") == (response.status, response.body["detail"], response.body["field"])


def test_a_body_that_does_not_arrive_is_given_up(redis_server: RedisServer, client: redis.Redis) -> None:
    """408 after the time that is set."""
    api = Api(redis_server.url, api_body_seconds=0.1).start()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.key()}\r\nContent-Length: 100\r\n\r\n{{"
    )
    try:
        with socket.create_connection(("127.0.0.1", api.port), timeout=20) as slow:
            slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            received = slow.recv(65536)
    finally:
        api.stop()

    assert b"408" in received.split(b"\r\n")[0]


def test_requests_that_wait_for_a_thread_hold_up_no_probe(narrow: Api, client: redis.Redis) -> None:
    """Two threads, both busy with a Redis that hangs: the process still answers that it lives."""
    client.execute_command("CLIENT", "PAUSE", "600", "ALL")
    waiting = [HTTPConnection("127.0.0.1", narrow.port, timeout=10) for _ in range(4)]
    for one in waiting:
        one.request("GET", "/v1/key", headers={"Authorization": "Bearer tl_a_b"})
    alive = narrow.request("GET", "/health/live")

    assert (200, {"ok": True}) == (alive.status, alive.body)
    assert [401] * 4 == [one.getresponse().status for one in waiting]
    for one in waiting:
        one.close()


def test_a_login_code_waits_behind_no_list(narrow: Api, client: redis.Redis) -> None:
    """As many lists as may be at work hang, and more wait for their turn: a single message goes all the same."""
    token, hanging = narrow.key(), Event()
    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(LONG + 4) as pool:
        patched.setattr(narrow.producer, "send_many_as", lambda *_: hanging.wait(20) and [])
        lists = [
            pool.submit(narrow.request, "POST", "/v1/messages/bulk", {"messages": [HELLO]}, token)
            for _ in range(LONG + 4)
        ]
        single = narrow.request("POST", "/v1/messages", HELLO, token)
        done = [one.done() for one in lists]
        hanging.set()

    assert (201, [False] * (LONG + 4)) == (single.status, done)
    assert [200] * (LONG + 4) == [one.result().status for one in lists]


# Redis.


def test_a_missing_redis_is_reported_with_its_cause(tmp_path: Path) -> None:
    """503 with Retry-After by every address that needs Redis; the clients raise what the library raises."""
    server = RedisServer(tmp_path).start()
    api = Api(server.url, redis_timeout_seconds=1).start()
    try:
        token = api.key()
        with HttpProducer(api.url, token) as producer:
            assert producer.send(**HELLO).accepted
            server.kill()
            responses = [
                api.request("POST", "/v1/messages", HELLO, token),
                api.request("POST", "/v1/messages/bulk", {"messages": [HELLO]}, token),
                api.request("GET", "/v1/holds", key=token),
                api.request("GET", "/health/ready"),
            ]
            with pytest.raises(Unavailable, match="Redis") as away:
                producer.send(**HELLO)
    finally:
        api.stop()

    assert [503] * 4 == [one.status for one in responses]
    assert {("5", "operator")} == {(one.headers["retry-after"], one.body["owner"]) for one in responses}
    assert all("Redis" in one.body["detail"] and "127.0.0.1" not in one.body["detail"] for one in responses)
    assert (5, []) == (away.value.retry_after, away.value.unsure)


REFUSES: dict[str, tuple[Callable[[redis.Redis], object], Callable[[redis.Redis], object]]] = {
    "READONLY": (lambda one: one.replicaof("127.0.0.1", "9"), lambda one: one.replicaof("NO", "ONE")),
    "NOREPLICAS": (
        lambda one: one.config_set("min-replicas-to-write", 1),
        lambda one: one.config_set("min-replicas-to-write", 0),
    ),
    "OOM": (lambda one: one.config_set("maxmemory", "1mb"), lambda one: one.config_set("maxmemory", 0)),
    "NOPERM": (
        lambda one: one.execute_command("ACL SETUSER api -set"),
        lambda one: one.execute_command("ACL SETUSER api +set"),
    ),
}


def test_an_api_whose_redis_takes_no_message_is_not_ready(tmp_path: Path) -> None:
    """A load balancer would keep it in rotation, although another one may accept; the user may not run INFO."""
    server = RedisServer(tmp_path).start()
    admin = redis.Redis(port=server.port)
    admin.execute_command("ACL SETUSER api on >secret ~tl:* ~sms.* -@all +@all -@dangerous -@admin")
    api = Api(server.url.replace("//", "//api:secret@")).start()
    ready: Callable[[], Any] = lambda: api.request("GET", "/health/ready")  # noqa: E731
    found = {}
    try:
        for reply, (begin, end) in REFUSES.items():
            begin(admin)
            found[reply] = wait_until(lambda: ready() if ready().status == 503 else None, what=reply)
            end(admin)
            wait_until(lambda: ready().status == 200, what=f"the end of {reply}")
    finally:
        api.stop()
        admin.close()
        server.stop()

    assert list(REFUSES) == [reply for reply, one in found.items() if f"({reply})" in one.body["detail"]]


def test_the_readiness_of_the_api_is_queried_once_a_second(client: redis.Redis) -> None:
    """It needs no key: anybody may call it."""
    client.config_resetstat()
    now = iter(tick / 100 for tick in range(0, 1000))
    check = IntakeCheck(client, lambda: next(now))
    for _ in range(300):
        check()

    assert 3 <= client.info("commandstats")["cmdstat_set"]["calls"] <= 4  # type: ignore[index]


def test_a_full_redis_takes_nothing_more(tmp_path: Path) -> None:
    """The answer is 503; accepted messages stay, and are still read and cancelled."""
    server = RedisServer(tmp_path).start()
    api = Api(server.url).start()
    try:
        token = api.key()
        sent = api.request("POST", "/v1/messages", HELLO, token).body["id"]
        api.redis.config_set("maxmemory", "1mb")
        full = api.request("POST", "/v1/messages", HELLO, token)
        known = api.request("GET", f"/v1/messages/{sent}", key=token)
        cancelled = api.request("DELETE", f"/v1/messages/{sent}", key=token)
    finally:
        api.stop()
        server.stop()

    assert (503, True) == (full.status, "memory ceiling" in full.body["detail"])
    assert (200, 200) == (known.status, cancelled.status)


def test_a_lost_answer_is_reported_with_the_ids_that_are_unsure(api: Api, client: redis.Redis) -> None:
    """Redis took it, and ended before it could answer: the id is reported, and the client's exception has it."""
    token = api.key("shop")

    def lose(*_: object) -> None:
        raise redis.exceptions.TimeoutError

    with pytest.MonkeyPatch.context() as patched, HttpProducer(api.url, token) as producer:
        patched.setattr(api.producer._enqueuer._lanes[3], "_process", lose)
        response = api.request("POST", "/v1/messages", HELLO | {"client_message_id": "one"}, token)
        with pytest.raises(Unavailable) as away:
            producer.send(**HELLO, client_message_id="one")

    assert 503 == response.status
    assert response.body["unsure"] == away.value.unsure
    assert [
        api.request("POST", "/v1/messages", HELLO | {"client_message_id": "one"}, token).body["id"]
    ] == away.value.unsure


# The way there.


class Wall:
    """Something before the API: takes a request and hangs up, or lets connections go."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def hang_up(self, times: int) -> int:
        """Read from so many connections and close them; returns how many came."""
        self.socket.settimeout(1)
        came = 0
        try:
            for _ in range(times):
                connection, _ = self.socket.accept()
                came += bool(connection.recv(65536))
                connection.close()
        except TimeoutError:
            pass
        return came


@pytest.mark.parametrize(("more", "times"), [({}, 1), ({"client_message_id": "one"}, 2)], ids=["without", "with an id"])
def test_a_client_repeats_only_what_cannot_be_done_twice(more: dict[str, str], times: int) -> None:
    """A request whose connection ends before the answer: once more with a client message id, never without."""
    wall = Wall()
    with ThreadPoolExecutor(1) as pool, HttpProducer(wall.url, "key", timeout_seconds=5) as producer:
        came = pool.submit(wall.hang_up, 3)
        with pytest.raises(Unavailable, match="may have succeeded"):
            producer.send(**HELLO, **more)

    assert times == came.result()
    wall.socket.close()


async def _error_of(url: str) -> str:
    async with AsyncHttpProducer(url, "key") as producer:
        with pytest.raises(Unavailable) as away:
            await producer.send(**HELLO)
        return str(away.value)


def test_an_api_that_is_not_running_gets_no_request() -> None:
    """Both clients report that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with HttpProducer(url, "key") as producer, pytest.raises(Unavailable, match="nothing was sent"):
        producer.send(**HELLO)

    assert "nothing was sent" in asyncio.run(_error_of(url))


def test_with_a_certificate_the_api_speaks_tls(redis_server: RedisServer, client: redis.Redis, tmp_path: Path) -> None:
    """Both clients verify it, and refuse one that they do not know."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    cert, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(secret), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    api = Api(redis_server.url, api_tls_cert=cert, api_tls_key=secret).start()
    try:
        token = api.key()

        async def request() -> bool:
            known = ssl.create_default_context(cafile=str(cert))
            async with AsyncHttpProducer(api.url, token, ssl=known) as producer:
                return (await producer.send(**HELLO)).accepted

        with HttpProducer(api.url, token, ca_file=str(cert)) as producer:
            assert producer.send(**HELLO).accepted
        assert asyncio.run(request())
        with HttpProducer(api.url, token) as stranger, pytest.raises(Unavailable, match="nothing was sent"):
            stranger.send(**HELLO)
    finally:
        api.stop()


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    """By the name of the variable."""
    (tmp_path / "cert.pem").touch()
    with pytest.raises(InvalidSettings, match="THREELANE_API_TLS_CERT and THREELANE_API_TLS_KEY, or neither"):
        load(ApiSettings, api_tls_cert=tmp_path / "cert.pem")


def test_invalid_settings_are_reported_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken, a host that is not ours, files that are not certificates."""
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SystemExit) as first:
            listen_or_exit(ApiSettings(api_port=taken.getsockname()[1]))
        with pytest.raises(SystemExit) as second:
            listen_or_exit(ApiSettings(api_host="192.0.2.1"))
    with pytest.raises(SystemExit) as third:
        load_or_exit(uvicorn.Config(lambda: None, log_config=None, ssl_certfile=no_pem, ssl_keyfile=no_pem))
    lines = capsys.readouterr().err.splitlines()

    assert [2, 2, 2] == [one.value.code for one in (first, second, third)]
    assert ["THREELANE_API_HOST", "THREELANE_API_HOST", "THREELANE_API_TLS_CERT"] == [one.split()[1] for one in lines]


# What is shown, and what is not.


def test_every_answer_keeps_browsers_safe_and_names_no_server(api: Api) -> None:
    """Also of missing pages, and of the page for people, which loads nothing from elsewhere."""
    responses = [api.request("GET", path) for path in ("/docs", "/openapi.json", "/v1/key", "/nowhere", "/health/live")]
    page = responses[0].body.decode()

    assert all(name.lower() in one.headers for one in responses for name in HEADERS)
    assert not any("server" in one.headers for one in responses)
    assert [] == [word for word in ("<script", "src=", "@import", "http://", "https://") if word in page]
    assert "style-src" in responses[0].headers["content-security-policy"]


def test_logs_have_no_key_no_number_and_no_text(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """For accepted, refused and unreadable requests, and for internal errors."""
    token = api.key("shop", suppression=True)
    secret = "Your code is 4711"
    with caplog.at_level(logging.DEBUG), pytest.MonkeyPatch.context() as patched:
        api.request("POST", "/v1/messages", HELLO | {"text": secret}, token)
        api.request("POST", "/v1/messages", HELLO | {"text": secret, "lane": 9}, token)
        api.request("POST", "/v1/messages", f'{{"to":"27831234567","text":"{secret}'.encode(), token)
        api.request("POST", "/v1/suppressions", {"number": "27831234567", "evidence": secret}, token)
        api.request("GET", f"/v1/batches/27831234567?token={token}", key=token)
        patched.setattr(api.producer, "send_as", lambda *_: {}[f"27831234567 {secret}"])
        failed = api.request("POST", "/v1/messages", HELLO | {"text": secret}, token)
    written = "\n".join(f"{one.getMessage()} {one.__dict__}" for one in caplog.records)

    assert (500, "500", "operator") == (failed.status, failed.body["code"], failed.body["owner"])
    assert "KeyError" in written
    assert [] == [word for word in (token, token[16:], "27831234567", secret) if word in written]


SPANS = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
import redis
from threelane import Producer
from threelane.runtime.settings import ApiSettings
from threelane.interfaces.web.app import create
app = create(ApiSettings(), Producer(ApiSettings()), redis.Redis())
scope = {"type": "http", "method": "GET", "path": "/health/live", "query_string": b"a=27831234567", "headers": []}
said = []
async def receive(): return {"type": "http.request", "body": b"", "more_body": False}
async def send(message): said.append(message.get("status"))
asyncio.run(app(scope, receive, send))
print(said[0], len(exporter.get_finished_spans()))
"""


def test_the_framework_traces_no_addresses() -> None:
    """Also where OpenTelemetry is set up for the whole process: its spans would have the query of each request."""
    done = subprocess.run([sys.executable, "-c", SPANS], capture_output=True, text=True, timeout=60, check=True)

    assert "200 0\n" == done.stdout


def test_a_message_with_too_many_values_is_refused_alone(api: Api, client: redis.Redis) -> None:
    """Unread, and so are numbers that no type holds; the messages around them are accepted, each at its index."""
    wrong = HELLO | {"tags": [[]] * 300}
    body = json.dumps({"messages": [wrong, HELLO, HELLO | {"lane": 7}, HELLO, wrong]}).replace("7}", "1e999}").encode()
    results = api.request("POST", "/v1/messages/bulk", body, api.key()).body["verdicts"]

    assert [False, True, False, True, False] == [one["accepted"] for one in results]
    assert [0, 1, 2, 3, 4] == [one["index"] for one in results]
    assert "more than 200 values" == results[0]["refusal"]["problem"]


def test_a_request_that_is_no_list_has_few_values(api: Api, client: redis.Redis) -> None:
    """It is not decoded."""
    body = b'{"to":[' + b"[]," * 30_000 + b"[]]}"

    assert 413 == api.request("POST", "/v1/messages", body, api.key()).status


def test_a_request_without_memory_gets_503(redis_server: RedisServer, client: redis.Redis) -> None:
    """With Retry-After, and nothing was done; once memory is free, it is taken."""
    api = Api(redis_server.url, api_wait_seconds=0.05).start()
    try:
        held = api.service.list_memory.lease("shop")
        asyncio.run(held.resize(api.service.list_memory.share, 1))
        token = api.key("shop")
        refused = api.request("POST", "/v1/messages/bulk", {"messages": [HELLO]}, token)
        other = api.request("POST", "/v1/messages/bulk", {"messages": [HELLO]}, api.key("other"))
        held.release()
        taken = api.request("POST", "/v1/messages/bulk", {"messages": [HELLO]}, token)
    finally:
        api.stop()

    assert (503, "2", "operator") == (refused.status, refused.headers["retry-after"], refused.body["owner"])
    assert (200, 200) == (other.status, taken.status)


def test_memory_for_less_than_the_longest_list_is_an_invalid_setting() -> None:
    """It would be refused for ever."""
    with pytest.raises(InvalidSettings, match="THREELANE_API_MEMORY_MIB must be at least 80"):
        load(ApiSettings, api_memory_mib=79)
