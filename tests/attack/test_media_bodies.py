"""Media bodies: many long callbacks at once take the memory of short ones, and delay no callback without media."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import redis

from tests.attack.sockets import Endpoint, running
from tests.integration.conftest import SECRET
from tests.servers import wait_until
from threelane.interfaces.callbacks.body import LONG_AT_ONCE

MIB = 1024 * 1024
AT_ONCE = LONG_AT_ONCE + 8
MEDIA = {"messageId": "m", "from": "27831234567", "to": "12025550100", "contentType": "image/jpeg", "caption": "Here"}


def picture(number: int, octets: int) -> bytes:
    media = MEDIA | {"messageId": f"m{number}", "content": "A" * octets}
    return json.dumps({"event": {"moMedia": [media]}}).encode()


def post(port: int, path: str, body: bytes) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", f"/{SECRET}/{path}", body)
        return connection.getresponse().status
    finally:
        connection.close()


def receipt(endpoint: Endpoint) -> int:
    """Return the status of the response to a callback without media."""
    return post(endpoint.port, "status", b"cliMsgId=%s&status=004" % (b"0" * 32))


def test_many_pictures_at_once_take_no_memory_and_all_are_replies(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """200 MB of base64 at the same time, and receipts between them: less than 40 MiB of growth."""
    environment = base_environment | {"THREELANE_CALLBACKS_HEAD_SECONDS": "120"}
    with running("callbacks", "callbacks", environment, tmp_path) as endpoint:
        assert [200, 200] == [post(endpoint.port, "one", picture(0, 2 * MIB)), receipt(endpoint)]
        before = endpoint.resident_mib
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sent = [pool.submit(post, endpoint.port, "one", picture(n, 8 * MIB)) for n in range(1, AT_ONCE + 1)]
            receipts = []
            while not all(one.done() for one in sent):
                receipts.append(receipt(endpoint))
            statuses = [one.result() for one in sent]
        grown = endpoint.peak_mib - before

    assert [200] * AT_ONCE == statuses
    assert {200} == set(receipts)
    assert AT_ONCE + 1 == client.xlen("tl:inbox")
    assert grown < 40, f"{grown:.0f} MiB"


@contextmanager
def stalled(port: int, number: int) -> Iterator[list[socket.socket]]:
    """Hold long bodies of which nothing more arrives."""
    head = f"POST /{SECRET}/one HTTP/1.1\r\nHost: a\r\nContent-Length: {16 * MIB}\r\n\r\n".encode()
    with ExitStack() as held:
        sockets = []
        for _ in range(number):
            one = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            one.sendall(head + picture(0, 16 * MIB)[: 200 * 1024])
            sockets.append(one)
        yield sockets


def test_stalled_pictures_take_all_places_and_delay_no_receipt(
    base_environment: dict[str, str], client: redis.Redis, tmp_path: Path
) -> None:
    """Each gets 408, or 503 if it had no place, and then there is room again."""
    assert client.ping()
    environment = base_environment | {"THREELANE_CALLBACKS_HEAD_SECONDS": "3"}
    with running("callbacks", "callbacks", environment, tmp_path) as endpoint:
        with stalled(endpoint.port, 3 * LONG_AT_ONCE) as sockets:
            receipts = [receipt(endpoint) for _ in range(20)]
            ends = [one.recv(4096) for one in sockets]
        wait_until(lambda: post(endpoint.port, "one", picture(1, MIB)) == 200, what="room for a picture")
        lines = endpoint.lines

    assert [200] * 20 == receipts
    assert {b"HTTP/1.1 408", b"HTTP/1.1 503"} >= {one[:12] for one in ends}
    assert LONG_AT_ONCE <= sum(one.startswith(b"HTTP/1.1 408") for one in ends)
    without_place = [one for one in ends if one.startswith(b"HTTP/1.1 503")]
    assert all(b"\r\nRetry-After: " in one for one in without_place)
    assert not [one for one in lines if "Traceback" in one]
