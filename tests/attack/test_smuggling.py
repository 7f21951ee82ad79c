"""Smuggling: a request whose end a proxy may see elsewhere gets one 400, and what follows it is not read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.attack.sockets import Endpoint, exchange, running
from tests.integration.conftest import SECRET
from tests.servers import RedisServer

NEXT = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = b"Host: a\r\n"
LENGTH = b"Content-Length: 2\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NONE = b"\r\n0\r\n\r\n"

AMBIGUOUS = {
    "both, the length first": HOST + LENGTH + CHUNKED + NONE,
    "both, the coding first": HOST + CHUNKED + LENGTH + NONE,
    "two lengths": HOST + LENGTH + b"Content-Length: 3\r\n\r\n{}",
    "one length twice": HOST + LENGTH + LENGTH + b"\r\n{}",
    "a list of lengths": HOST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": HOST + b"Content-Length: +2\r\n\r\n{}",
    "a space before the colon": HOST + b"Content-Length : 2\r\n\r\n{}",
    "a folded line": HOST + LENGTH + b"X-A: b\r\n c\r\n\r\n{}",
    "a folded coding": HOST + b"Transfer-Encoding:\r\n chunked\r\n" + NONE,
    "lines that end with LF": b"Host: a\nContent-Length: 2\n\n{}",
    "one line that ends with LF": HOST + b"X-A: b\nContent-Length: 2\r\n\r\n{}",
    "a CR in a value": HOST + b"X-A: b\rContent-Length: 2\r\n\r\n",
    "two hosts": HOST + HOST + LENGTH + b"\r\n{}",
    "no host": LENGTH + b"\r\n{}",
    "an unknown coding": HOST + b"Transfer-Encoding: xchunked\r\n" + NONE,
    "two codings": HOST + b"Transfer-Encoding: gzip, chunked\r\n" + NONE,
    "one coding twice": HOST + CHUNKED + CHUNKED + NONE,
    "the coding identity": HOST + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n{}",
    "a space before the first field": b" X: a\r\n" + HOST + LENGTH + b"\r\n{}",
    "a chunk without a size": HOST + CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunks that end with LF": HOST + CHUNKED + b"\r\n2\n{}\n0\n\n",
    "a chunk longer than its size": HOST + CHUNKED + b"\r\n2\r\n{}xx0\r\n\r\n",
}


def responses(received: bytes) -> int:
    """Return how many responses were received."""
    return len(re.findall(rb"HTTP/1\.[01] \d\d\d", received))


@pytest.fixture(scope="module")
def api(
    redis_server: RedisServer, base_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    environment = base_environment | {"THREELANE_API_PORT": "0"}
    with running("api", "api", environment, tmp_path_factory.mktemp("api")) as made:
        yield made


@pytest.fixture(scope="module")
def callbacks(base_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running("callbacks", "callbacks", base_environment, tmp_path_factory.mktemp("callbacks")) as made:
        yield made


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_an_ambiguous_request_gets_one_400_and_the_connection_is_closed(
    api: Endpoint, callbacks: Endpoint, rest: bytes
) -> None:
    """On both endpoints; the request behind it would be another client's, behind a proxy."""
    line = b" HTTP/1.1\n" if rest.startswith(b"Host: a\n") else b" HTTP/1.1\r\n"
    answers = [
        exchange(api.port, b"POST /v1/messages" + line + rest + NEXT),
        exchange(callbacks.port, f"POST /{SECRET}/status".encode() + line + rest + NEXT),
    ]

    assert [1, 1] == [*map(responses, answers)]
    assert [b"400", b"400"] == [one[9:12] for one in answers]


def test_an_old_request_with_a_coding_gets_one_400(api: Endpoint, callbacks: Endpoint) -> None:
    """HTTP/1.0 has no Transfer-Encoding: a proxy of that version sees the body as the next request."""
    rest = b" HTTP/1.0\r\nConnection: keep-alive\r\n" + HOST + CHUNKED + NONE + NEXT
    answers = [
        exchange(api.port, b"POST /v1/messages" + rest),
        exchange(callbacks.port, f"POST /{SECRET}/status".encode() + rest),
    ]

    assert [1, 1] == [*map(responses, answers)]
    assert [b"400", b"400"] == [one[9:12] for one in answers]


def test_requests_that_are_clear_are_answered_one_after_another(api: Endpoint, callbacks: Endpoint) -> None:
    """Also sent at once."""
    last = NEXT.replace(HOST, HOST + b"Connection: close\r\n")

    assert 2 == responses(exchange(api.port, NEXT + last))
    assert 2 == responses(exchange(callbacks.port, NEXT + last))
