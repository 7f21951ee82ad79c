"""Full endpoints: an endpoint whose connections are all held, and renewed as it closes them, answers everybody else."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.attack.sockets import exchange, running
from tests.attack.test_half_open_heads import HALF, events, many_descriptors
from tests.integration.conftest import SECRET
from tests.servers import wait_until
from threelane.store import access

__all__ = ["many_descriptors"]

HELD = 1_100  # more than an endpoint accepts
MESSAGE = b'{"to":"27831234567","text":"Your code is 4711","lane":1}'
UNREAD = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 60
LIST = json.dumps({"messages": [{"to": "27831234567", "text": "Hello", "lane": 3}] * 200}).encode()
LOGIN = b"POST /console/login HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nContent-Length: 100\r\n\r\n"


class Attacker:
    """Holds connections, and opens another one for each that the server closes."""

    def __init__(self, port: int, request: bytes) -> None:
        """Send this on each connection, and read nothing."""
        self.port, self.request = port, request
        self.opened = self.sent = 0
        self._held: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Open the connections."""
        self._thread.start()

    def stop(self) -> None:
        """Close them."""
        self._is_stopped.set()
        self._thread.join()
        for one in self._held.values():
            one.close()
        self._poll.close()

    def _run(self) -> None:
        while not self._is_stopped.is_set():
            while len(self._held) < HELD:
                self._open()
            for descriptor, happened in self._poll.poll(0.1):
                self._serve(descriptor, happened)

    def _open(self) -> None:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", self.port))
        self._held[one.fileno()] = one
        self._poll.register(one, select.EPOLLOUT)
        self.opened += 1

    def _serve(self, descriptor: int, happened: int) -> None:
        one = self._held[descriptor]
        try:
            if happened != select.EPOLLOUT:
                raise ConnectionError
            one.send(self.request)
            self.sent += 1
            self._poll.modify(one, select.EPOLLRDHUP)
        except OSError:
            del self._held[descriptor]
            one.close()


@contextmanager
def held(port: int, request: bytes) -> Iterator[Attacker]:
    """Hold all connections of an endpoint."""
    attacker = Attacker(port, request)
    attacker.start()
    try:
        wait_until(lambda: attacker.sent >= HELD * 9 // 10, what="the connections")
        yield attacker
    finally:
        attacker.stop()


def until_unanswered(port: int, request: bytes) -> list[bytes]:
    """Send a request five times, or until it gets no response; returns what each got."""
    answers: list[bytes] = []
    while len(answers) < 5 and b"" not in answers:
        answers.append(exchange(port, request, 20)[:12])
    return answers


def message(token: str) -> bytes:
    head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(MESSAGE)}\r\n"
    return f"{head}Authorization: Bearer {token}\r\n\r\n".encode() + MESSAGE


def incomplete(token: str, path: str = "/v1/messages", length: int = 100) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
    return head.encode()


@pytest.fixture
def token(client: redis.Redis) -> str:
    return access.create(client, "bank", int(client.time()[0]) * 1000, unlimited=True).token


@pytest.fixture
def narrow(client: redis.Redis) -> str:
    """The key of an attacker: one request per second."""
    return access.create(client, "slow", int(client.time()[0]) * 1000, rate=1, unlimited=True).token


@pytest.fixture
def wide(client: redis.Redis) -> str:
    """The key of an attacker, without a rate."""
    return access.create(client, "acme", int(client.time()[0]) * 1000, unlimited=True).token


@pytest.mark.parametrize("kind", ["half a head", "unread", "login", "key of rate 1", "key", "lists", "places"])
def test_a_code_is_accepted_while_all_connections_are_held(
    kind: str,
    token: str,
    narrow: str,
    wide: str,
    base_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """Each on a fresh connection, none twice: what waits for its client or for a place is closed first."""
    request = {
        "half a head": HALF,
        "unread": UNREAD,
        "login": LOGIN,
        "key of rate 1": incomplete(narrow),
        "key": incomplete(wide),
        "lists": incomplete(wide, "/v1/messages/bulk", 4_000_000),
        "places": incomplete(wide, "/v1/messages/bulk", len(LIST)) + LIST,
    }[kind]
    environment = base_environment | {"THREELANE_API_PORT": "0", "THREELANE_API_MEMORY_MIB": "80"}
    with running("api", "api", environment, tmp_path) as api, held(api.port, request):
        answers = until_unanswered(api.port, message(token))
        full = events(api.lines, "connections_full")

    assert [b"HTTP/1.1 201"] * 5 == answers
    assert 1 == len(full)
    assert not [one for one in api.lines if "Traceback" in one]


def test_a_callback_is_answered_while_all_connections_wait_for_bodies(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """The same for the callback endpoint, whose secret the attacker knows."""
    body = f"cliMsgId={'0' * 32}&status=004".encode()
    head = f"POST /{SECRET}/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    callback = f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode()
    assert client.ping()
    with running("callbacks", "callbacks", base_environment, tmp_path) as endpoint, held(endpoint.port, callback):
        answers = until_unanswered(endpoint.port, callback + body)
        full = events(endpoint.lines, "connections_full")

    assert [b"HTTP/1.1 200"] * 5 == answers
    assert 1 == len(full)
    assert not [one for one in endpoint.lines if "Traceback" in one]
