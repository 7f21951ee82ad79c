"""Unread reports: whoever requests the reports of large batches and reads none keeps nobody else waiting."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.integration.http_api import Api
from tests.servers import wait_until
from threelane.interfaces.api.service import LONG, LONG_OF_ONE

ROWS = 6_000  # more than a connection's buffers hold


def test_reports_that_are_not_read_take_no_place(api: Api) -> None:
    """Twice as many as there are places for long requests; another producer's batch is shown meanwhile."""
    attacker, other = api.key("a"), api.key("b")
    messages = [{"to": str(27831200000 + at), "text": "x", "batch": "b", "lane": 3} for at in range(ROWS)]
    assert ROWS == api.request("POST", "/v1/messages/bulk", {"messages": messages}, attacker).body["accepted"]
    api.request("POST", "/v1/messages", messages[0], other)
    with ExitStack() as opened:
        for _ in range(2 * LONG):
            unread = opened.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=20))
            unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = f"GET /v1/batches/b/report HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {attacker}\r\n\r\n"
            unread.sendall(head.encode())
            assert unread.recv(12).startswith(b"HTTP/1.1 200")
        wait_until(lambda: LONG == api.service.places.free, what="the reports to wait for their readers")
        held = api.service.list_memory.held["a"]
        found = [api.request("GET", "/v1/batches/b", key=key).status for key in (other, attacker)]

    assert LONG_OF_ONE < 2 * LONG
    assert [200, 200] == found
    assert 0 < held <= api.service.list_memory.share
    wait_until(lambda: not api.service.list_memory.held, what="the memory of the reports to be free")
