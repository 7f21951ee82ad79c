"""Slow bodies: whoever drips bodies waits alone."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from tests.attack.sockets import is_closed, running
from tests.attack.test_large_bodies import HELLO, post, small
from tests.servers import wait_until
from threelane.store import access

LENGTH = 16 * 1024 * 1024


@contextmanager
def dripping(port: int, tokens: list[str], path: str, length: int) -> Iterator[list[socket.socket]]:
    """Hold requests whose bodies do not arrive."""
    with ExitStack() as held:
        sockets = []
        for token in tokens:
            one = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            head = (
                f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
            )
            one.sendall(head.encode() + b'{"messages":[')
            sockets.append(one)
        yield sockets


def test_eight_dripping_lists_of_one_producer_delay_no_other(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Lists of another producer are accepted while all of them drip; then each of them gets 408 or 503."""
    now = int(client.time()[0]) * 1000
    slow = [access.create(client, "slow", now, rate=1, unlimited=True).token for _ in range(8)]
    token = access.create(client, "shop", now, unlimited=True).token
    body = json.dumps({"messages": [HELLO] * 1_000}).encode()
    with (
        running("api", "api", small(base_environment), tmp_path) as api,
        dripping(api.port, slow, "/v1/messages/bulk", LENGTH) as sockets,
    ):
        statuses = [post(api.port, token, body)[0] for _ in range(5)]
        held = [not is_closed(one) for one in sockets]
        for one in sockets:
            one.setblocking(True)
        ends = {one.recv(4096)[9:12] for one in sockets}

    assert [200] * 5 == statuses
    assert any(held)
    assert {b"408", b"503"} >= ends


def test_dripping_messages_of_one_producer_delay_no_other(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """A hundred incomplete single messages: a code of another producer is accepted."""
    now = int(client.time()[0]) * 1000
    slow = [access.create(client, "slow", now, rate=1, unlimited=True).token for _ in range(100)]
    token = access.create(client, "shop", now, unlimited=True).token
    code = json.dumps(HELLO | {"lane": 1}).encode()
    with (
        running("api", "api", small(base_environment), tmp_path) as api,
        dripping(api.port, slow, "/v1/messages", 500_000),
    ):
        statuses = [post(api.port, token, code, "/v1/messages")[0] for _ in range(20)]

    assert [201] * 20 == statuses


def test_a_client_that_reads_no_response_is_closed(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Without a key: it sends thousands of requests and reads nothing."""
    environment = small(base_environment) | {"THREELANE_API_BODY_SECONDS": "1"}
    assert client.ping()
    with (
        running("api", "api", environment, tmp_path) as api,
        socket.create_connection(("127.0.0.1", api.port), timeout=60) as deaf,
    ):
        deaf.setblocking(False)
        wait_until(lambda: not is_served(deaf), what="the connection to be closed")


def is_served(deaf: socket.socket) -> bool:
    """Send requests, read nothing, and return whether the connection is open."""
    try:
        deaf.send(b"GET /docs HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return True
