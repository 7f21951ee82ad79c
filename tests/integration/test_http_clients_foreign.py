"""The HTTP clients raise only Threelane's exceptions, whatever their arguments are and whoever answers."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress
from threading import Thread
from typing import Any

import pytest

from threelane import AsyncHttpProducer, HttpProducer, InvalidSettings, MessageMapping, Unavailable
from threelane.producer.http import wire

HELLO: MessageMapping = {"to": "27831234567", "text": "hello"}
NOBODY = "0" * 32
DEEP = b"[" * 200_000
DEEP_FIELD = b'{"status":503,"title":"x","detail":"x","code":"503","other":' + DEEP
HTML = b"<html><h1>404 Not Found</h1><hr>nginx</html>"
KINDS = [HttpProducer, AsyncHttpProducer]
Call = Callable[[Any], Any]
Reply = Callable[[socket.socket], None]


class ForeignServer:
    """A server that reads each request and lets ``reply`` write to its connection."""

    def __init__(self, reply: Reply) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._reply = reply
        Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection, suppress(OSError):
                    _read_request(connection)
                    self._reply(connection)


def _read_request(connection: socket.socket) -> None:
    reader = connection.makefile("rb")
    length = 0
    while (line := reader.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    reader.read(length)


def answering(status: int, body: bytes, content_type: str = "application/json", more: bytes = b"") -> Reply:
    """Return a reply with a whole response."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n".encode()
    return lambda connection: connection.sendall(head + more + b"Connection: close\r\n\r\n" + body)


def called(kind: type, url: str, call: Call, timeout_seconds: float = 5) -> Any:
    """Return the result of a call with a client of either kind."""
    if kind is HttpProducer:
        with HttpProducer(url, "key", timeout_seconds=timeout_seconds) as producer:
            return call(producer)

    async def on_a_loop() -> Any:
        async with AsyncHttpProducer(url, "key", timeout_seconds=timeout_seconds) as producer:
            return await call(producer)

    return asyncio.run(on_a_loop())


CALLS: dict[str, Call] = {
    "send": lambda producer: producer.send(**HELLO),
    "send_many": lambda producer: producer.send_many([HELLO]),
    "status": lambda producer: producer.status(NOBODY),
    "cancel": lambda producer: producer.cancel([NOBODY]),
    "move": lambda producer: producer.move(NOBODY, "2031-06-30T14:00:00Z"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "key", ["", "secret\n", "\rsecret", "sec ret", "secret\0", "secr\u00e9t", "secret\u4e16", "\x7fsecret"]
)
def test_an_invalid_key_is_refused_at_once_and_not_shown(kind: Any, key: str) -> None:
    """A key read from a file has a line end; the error of the HTTP library would show it in a log."""
    with pytest.raises(InvalidSettings, match="the API key") as raised:
        kind("http://127.0.0.1:9", key)

    assert "secr" not in str(raised.value)
    assert (None, True) == (raised.value.__cause__, raised.value.__suppress_context__ or not raised.value.__context__)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "url",
    [
        "",
        "threelane.example:8080",
        "ftp://threelane.example",
        "http://h ost:1",
        "http://ho\nst:1",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "http://[host]:1",
        "http://a..b",
        "http://.",
        "http://\udcff",
        "http://xn--\u00e9",
        "http://ho%st",
        "http://" + "h" * 300,
        "http://" + "h." * 150 + "example",
        "http://user:secret@host",
        "http://host/caf\u00e9",
        "http://host/a b",
        "http://host/?secret=1",
        "http://host/#secret",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_once(kind: Any, url: str) -> None:
    """By the constructor, and not with the first message as an error of the HTTP library."""
    with pytest.raises(InvalidSettings, match="not an address of the HTTP API") as raised:
        kind(url, "key")

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("https://Threelane.example/sms/", "https://threelane.example:443/sms"),
        ("http://b\u00fccher.example:8080", "http://xn--bcher-kva.example:8080"),
        ("http://under_score:9", "http://under_score:9"),
        ("http://[::1]:9/", "http://[::1]:9"),
    ],
)
def test_both_clients_use_one_form_of_an_address(url: str, used: str) -> None:
    """Lower case, with its port, in ASCII, and without a slash at its end."""
    assert used == wire.address(url).url


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("status", [200, 400, 404, 409, 503])
@pytest.mark.parametrize(
    "body", [b'{"id":"\xff"}', DEEP, DEEP_FIELD, HTML], ids=["UTF-8", "deep", "deep field", "HTML"]
)
def test_a_response_of_another_server_is_an_outage(kind: Any, call: Call, status: int, body: bytes) -> None:
    """Invalid UTF-8, JSON nested too deep and a proxy's page are not the caller's bug."""
    with closing(ForeignServer(answering(status, body))) as server, pytest.raises(Unavailable, match=f"HTTP {status}"):
        called(kind, server.url, call)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wait", ["\u00b2", "\u0663", "9" * 400, "-1", "Wed, 21 Oct 2037 07:28:00 GMT"])
def test_a_wait_that_is_not_in_seconds_is_ignored(kind: Any, wait: str) -> None:
    """Only ASCII digits are a number of seconds."""
    problem = json.dumps({"status": 503, "title": "x", "detail": "away", "code": "503"}).encode()
    more = b"Retry-After: " + wait.encode("latin-1" if wait == "\u00b2" and kind is HttpProducer else "utf-8") + b"\r\n"
    with (
        closing(ForeignServer(answering(503, problem, more=more))) as server,
        pytest.raises(Unavailable, match="away") as away,
    ):
        called(kind, server.url, CALLS["send"])

    assert 0 == away.value.retry_after


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("results", "has_message"), [(0, True), (1, True), (3, True), (2, False)])
def test_a_list_with_another_number_of_results_is_an_outage(kind: Any, results: int, has_message: bool) -> None:
    """No message may get the result of another."""
    message = {"id": NOBODY, "status": "queued", "lane": 1, "parts": 1, "encoding": "GSM-7", "units": 5}
    verdict = {"index": 0, "accepted": True} | ({"message": message} if has_message else {})
    body = json.dumps({"accepted": results, "refused": 0, "repeated": 0, "verdicts": [verdict] * results}).encode()
    with closing(ForeignServer(answering(200, body))) as server, pytest.raises(Unavailable, match="for 2 messages"):
        called(kind, server.url, lambda producer: producer.send_many([HELLO, HELLO]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [404, 422])
@pytest.mark.parametrize("call", ["status", "cancel"])
def test_an_error_page_does_not_mean_that_an_id_is_unknown(kind: Any, status: int, call: str) -> None:
    """A wrong path at a proxy must not look like an expired message; Threelane's own problem does mean it."""
    problem = json.dumps({"status": status, "title": "x", "detail": "unknown", "code": str(status)}).encode()
    for reply in (answering(status, HTML, "text/html"), answering(status, b"{}", "application/problem+json")):
        with (
            closing(ForeignServer(reply)) as server,
            pytest.raises(Unavailable, match=f"HTTP {status}: not Threelane's API"),
        ):
            called(kind, server.url, CALLS[call])
    with closing(ForeignServer(answering(status, problem, "application/problem+json; charset=utf-8"))) as server:
        found = called(kind, server.url, CALLS[call])

    assert "unknown" == found[0].answer if call == "cancel" else found is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_that_finds_no_server_may_have_succeeded(kind: Any) -> None:
    """The first attempt was sent: "nothing was sent" would be wrong."""

    def hang_up(_: socket.socket) -> None:
        server.close()

    server = ForeignServer(hang_up)
    with pytest.raises(Unavailable, match="may have succeeded"):
        called(kind, server.url, lambda producer: producer.send(**HELLO, client_message_id="one"))


# The timeout.


def _in_drips(first: bytes, drip: bytes) -> Reply:
    def reply(connection: socket.socket) -> None:
        connection.sendall(first)
        for _ in range(100):
            connection.sendall(drip)
            time.sleep(0.1)

    return reply


SLOW: dict[str, Reply] = {
    "100 Continue": _in_drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a header": _in_drips(b"HTTP/1.1 200 OK\r\n", b"X"),
    "a body": _in_drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" "),
    "chunks": _in_drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "no length": _in_drips(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reply", SLOW.values(), ids=SLOW)
def test_a_timeout_is_for_the_whole_request(kind: Any, reply: Reply) -> None:
    """A server that sends a byte now and then must not hold a caller for longer."""
    with closing(ForeignServer(reply)) as server:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="may have succeeded"):
            called(kind, server.url, CALLS["send"], timeout_seconds=0.5)

    assert time.monotonic() - started < 9  # the server drips for ten seconds


@pytest.mark.parametrize("length", ["Content-Length: " + "9" * 15, "Content-Length: " + "9" * 30])
def test_an_absurd_length_is_an_outage(length: str) -> None:
    """No memory is large enough for it."""
    with (
        closing(
            ForeignServer(lambda connection: connection.sendall(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode()))
        ) as server,
        pytest.raises(Unavailable, match="may have succeeded"),
    ):
        called(HttpProducer, server.url, CALLS["send"])
