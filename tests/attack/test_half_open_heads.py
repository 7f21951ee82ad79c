"""Half-open heads: thousands of connections that never complete a request keep nobody out."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
import redis

from tests.attack.sockets import exchange, is_closed, running
from tests.integration.conftest import SECRET
from tests.servers import wait_until
from threelane.store import access

DESCRIPTORS = 1024
HALF = b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nX-Slow: "
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LIVE = HEALTH.replace(b"/health", b"/health/live")


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    """The attacker's own limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def half_open(port: int, number: int) -> Iterator[list[socket.socket]]:
    """Hold connections with an incomplete head."""
    with ExitStack() as held:
        sockets = []
        for _ in range(number):
            one = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            one.sendall(HALF)
            sockets.append(one)
        yield sockets


def events(lines: list[str], name: str) -> list[Mapping[str, object]]:
    return [entry for entry in map(json.loads, lines) if entry["event"] == name]


def test_a_callback_is_answered_while_3000_heads_are_half_open(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """With 1,024 descriptors: the oldest incomplete heads are closed for new connections, and one line is logged."""
    body = f"cliMsgId={'0' * 32}&status=004".encode()
    head = f"POST /{SECRET}/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    callback = f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode() + body
    assert client.ping()
    with running("callbacks", "callbacks", base_environment, tmp_path, DESCRIPTORS) as endpoint:
        assert b" 200 " in exchange(endpoint.port, HEALTH)[:20]
        with half_open(endpoint.port, 3_000) as held:
            answers = [exchange(endpoint.port, callback) for _ in range(20)]
            closed = sum(map(is_closed, held))
        metrics = urlopen(metrics_url(endpoint.lines), timeout=20).read().decode()
        full = events(endpoint.lines, "connections_full")

    assert [b"HTTP/1.1 200"] * 20 == [one[:12] for one in answers]
    assert closed > 1_500
    assert 1 == len(full)
    assert len(endpoint.lines) < 50
    counted = [one for one in metrics.splitlines() if one.startswith("threelane_connections_closed_total{")]
    assert closed <= sum(float(one.split()[1]) for one in counted)


def test_a_request_to_the_api_is_answered_while_3000_heads_are_half_open(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """The same, with a key that sends a message."""
    token = access.create(client, "shop", int(client.time()[0]) * 1000, unlimited=True).token
    body = b'{"to":"27831234567","text":"Your code is 4711","lane":1}'
    head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    request = f"{head}Authorization: Bearer {token}\r\n\r\n".encode() + body
    environment = base_environment | {"THREELANE_API_PORT": "0"}
    with running("api", "api", environment, tmp_path, DESCRIPTORS) as api, half_open(api.port, 3_000):
        answers = [exchange(api.port, request) for _ in range(20)]
        full = events(api.lines, "connections_full")

    assert [b"HTTP/1.1 201"] * 20 == [one[:12] for one in answers]
    assert 1 == len(full)


def test_an_incomplete_head_is_closed_at_its_deadline(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Also one that drips, on a connection that has served a request before; a busy one stays."""
    environment = base_environment | {
        "THREELANE_API_PORT": "0",
        "THREELANE_API_HEAD_SECONDS": "1",
        "THREELANE_CALLBACKS_HEAD_SECONDS": "1",
    }
    assert client.ping()
    alive = LIVE.replace(b"Connection: close\r\n", b"")
    with (
        running("api", "api", environment, tmp_path) as api,
        running("callbacks", "callbacks", environment, tmp_path) as callbacks,
        half_open(api.port, 5) as first,
        half_open(callbacks.port, 5) as second,
        socket.create_connection(("127.0.0.1", api.port), timeout=20) as served,
    ):
        served.sendall(alive)
        assert b" 200 " in served.recv(4096)
        dripping = [*first, *second, served]
        wait_until(lambda: all(drip(one) for one in dripping), what="the connections to be closed")

        assert b" 200 " in exchange(api.port, LIVE)[:20]


def drip(one: socket.socket) -> bool:
    """Send one octet of a head; returns whether the connection is closed."""
    if is_closed(one):
        return True
    one.setblocking(True)
    try:
        one.sendall(b"G")
    except ConnectionError:
        return True
    return False


def test_metrics_are_scraped_while_connections_are_half_open(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """A thread serves each connection: there are at most sixteen."""
    assert client.ping()
    with running("callbacks", "callbacks", base_environment, tmp_path, DESCRIPTORS) as endpoint:
        url = metrics_url(endpoint.lines)
        with half_open(int(url.split(":")[2].split("/")[0]), 500):
            scrapes = [urlopen(url, timeout=20).status for _ in range(3)]
            threads = endpoint.threads

    assert [200] * 3 == scrapes
    assert threads < 40


def metrics_url(lines: list[str]) -> str:
    return str(events(lines, "metrics")[0]["url"])
