"""Gateway: a light simulation of Clickatell, the same for all systems; ``python -m bench.gateway``.

The sandbox validates, charges and stores every message: a message and its receipts cost it about as much CPU as they
cost a worker, so on the same cores it would be the limit.  This gateway accepts every message, responds as the HTTP,
XML and One API do, after ``latency_ms``, and posts two receipts per message (003 and 004), each in its own request,
as Clickatell does.  It prints its URL as one JSON line on standard output.

``GET /bench`` returns the counts, ``POST /bench`` sets ``latency_ms``, ``receipts_url`` (where to post receipts) and
``receipts_after`` (seconds, of each receipt), and resets the counts.  ``GET /bench/arrivals`` returns the arrival
times of messages in lane 1: id -> Unix time in ms.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

CONNECTIONS = 32  # most concurrent receipts
PUMP_SECONDS = 0.02
STATUSES = ("003", "004")
ONE_STATUSES = {"003": (4, "SENT_TO_SUPPLIER"), "004": (5, "DEVICE_ACK")}

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FORM = {name: re.compile(rb"(?:^|&)%b=([^&]*)" % name.encode()) for name in ("to", "climsgid", "queue")}
_XML = {
    name: re.compile(rb"%%3C%b%%3E(\w+)%%3C" % name.encode()) for name in ("to", "cliMsgId", "sequence_no", "queue")
}

Message = tuple[bytes, bytes, bytes]
"""The client id, the gateway's id, the number."""


class BenchGateway:
    """The counts of accepted messages, and the receipts that wait."""

    def __init__(self) -> None:
        """Start without latency and without receipts."""
        self.latency = 0.0
        self.receipts_after: Sequence[float] = ()
        self.receipts_url = ""
        self.accepted = self.acknowledged = self.refused = 0
        self.arrivals: dict[str, float] = {}
        self.due: dict[float, deque[tuple[float, str, str, list[Message]]]] = {}
        self.ready: deque[tuple[str, str, Message]] = deque()
        self.posters: list[ReceiptPoster] = []
        self.epoch = 0  # receipts in flight when settings change are not counted
        self._next_id = 0

    def accept(self, api: str, ids: Sequence[bytes], numbers: Sequence[bytes], lane: bytes) -> list[bytes]:
        """Accept the messages of a request; returns the gateway's ids."""
        first, self._next_id = self._next_id, self._next_id + len(ids)
        accepted = [b"%032x" % number for number in range(first, self._next_id)]
        self.accepted += len(ids)
        if lane == b"1":
            now = time.time() * 1000
            self.arrivals.update((one.decode(), now) for one in ids)
        if self.receipts_url:
            entries = list(zip(ids, accepted, numbers, strict=True))
            now_s = time.monotonic()
            for status, after in zip(STATUSES, self.receipts_after, strict=False):
                self.due.setdefault(after, deque()).append((now_s + after, api, status, entries))
        return accepted

    def settings(self, changes: dict[str, Any]) -> None:
        """Apply settings and reset the counts; waiting receipts are dropped."""
        self.latency = float(changes.get("latency_ms", self.latency * 1000)) / 1000
        self.receipts_after = changes.get("receipts_after", self.receipts_after)
        self.receipts_url = changes.get("receipts_url", self.receipts_url)
        self.accepted = self.acknowledged = self.refused = 0
        self.arrivals, self.due = {}, {}
        self.ready.clear()
        self.epoch += 1

    def counts(self) -> dict[str, int]:
        """Return the counts of accepted messages, and of receipts by result."""
        return {"accepted": self.accepted, "acknowledged": self.acknowledged, "refused": self.refused}

    async def pump(self) -> None:
        """Post due receipts as connections become free."""
        loop = asyncio.get_running_loop()
        while True:
            now = time.monotonic()
            for waiting in self.due.values():
                while waiting and waiting[0][0] <= now:
                    _, api, status, entries = waiting.popleft()
                    self.ready.extend((api, status, one) for one in entries)
            if self.ready and not self.posters:
                self.posters = [ReceiptPoster(self) for _ in range(CONNECTIONS)]
            for poster in self.posters:
                if not self.ready:
                    break
                if poster.transport is None:
                    await poster.connect(loop)
                if poster.current is None:
                    poster.next()
            await asyncio.sleep(PUMP_SECONDS)


class ReceiptPoster(asyncio.Protocol):
    """One persistent connection that posts receipts, one after the other."""

    def __init__(self, gateway: BenchGateway) -> None:
        """Post the receipts of this gateway."""
        self.gateway = gateway
        self.transport: asyncio.Transport | None = None
        self.current: tuple[str, str, Message] | None = None
        self.epoch = 0
        self.url = ""
        self._buffer = b""

    async def connect(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to the receipts URL."""
        self.url = self.gateway.receipts_url
        target = urlsplit(self.url)
        self._head = f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Type: ".encode()
        await loop.create_connection(lambda: self, target.hostname or "", target.port or 80)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection."""
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Drop the connection; a receipt in flight is posted again."""
        self.transport, self._buffer = None, b""
        self._end(acknowledged=False)

    def next(self) -> None:
        """Post the next receipt, if there is one."""
        gateway = self.gateway
        if not gateway.ready or self.transport is None:
            return
        if gateway.receipts_url != self.url:  # the settings changed: connect again
            self.transport.close()
            return
        self.current, self.epoch = gateway.ready.popleft(), gateway.epoch
        kind, body = _receipt(*self.current)
        self.transport.write(b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (self._head, kind, len(body), body))

    def data_received(self, data: bytes) -> None:
        """Read the response; when it is complete, post the next receipt."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            return
        self._buffer = b""
        self._end(acknowledged=head[9:10] == b"2")
        self.next()

    def _end(self, *, acknowledged: bool) -> None:
        gateway, current, self.current = self.gateway, self.current, None
        if current is None or self.epoch != gateway.epoch:
            return
        if acknowledged:
            gateway.acknowledged += 1
        else:
            gateway.refused += 1
            gateway.ready.append(current)


class ClientConnection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, gateway: BenchGateway) -> None:
        """Respond for this gateway."""
        self.gateway = gateway
        self._buffer = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._later = asyncio.get_running_loop().call_later

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request after the latency."""
        self._buffer += data
        while self._buffer:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._buffer, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            head, body = self._buffer[:end], self._buffer[end + 4 : whole]
            self._buffer = self._buffer[whole:]
            self._respond(head, body)

    def _respond(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        content, kind = (ROUTES.get(path) or _unknown)(self.gateway, method, body)
        response = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            kind,
            len(content),
            content,
        )
        if self.gateway.latency and not path.startswith(b"/bench"):
            self._later(self.gateway.latency, self._write, response)
        else:
            self.transport.write(response)

    def _write(self, response: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(response)


def _sendmsg(gateway: BenchGateway, _method: bytes, body: bytes) -> tuple[bytes, bytes]:
    to, client_id, lane = (found[1] if (found := one.search(body)) else b"" for one in _FORM.values())
    return b"ID: " + gateway.accept("", [client_id], [to], lane)[0], b"text/html"


def _xml(gateway: BenchGateway, _method: bytes, body: bytes) -> tuple[bytes, bytes]:
    if b"getBalance" in body:
        content = b"<getBalanceResp><ok>1000000.000</ok></getBalanceResp>"
    else:
        to, ids, sequence, lane = (one.findall(body) for one in _XML.values())
        accepted = gateway.accept("", ids, to, lane[0])
        row = b"<sendMsgResp><apiMsgId>%b</apiMsgId><sequence_no>%b</sequence_no></sendMsgResp>"
        content = b"".join([row % both for both in zip(accepted, sequence, strict=True)])
    return b"<clickAPI>%b</clickAPI>" % content, b"text/xml"


class _OneMessage(msgspec.Struct):
    """The fields read from a message of the One API."""

    to: str
    clientMessageId: str = ""
    userPriorityQueue: int | str = 3


class _OneRequest(msgspec.Struct):
    """A request of the One API."""

    messages: list[_OneMessage]


_orders = msgspec.json.Decoder(_OneRequest).decode
_encode = msgspec.json.Encoder().encode


def _one(gateway: BenchGateway, _method: bytes, body: bytes) -> tuple[bytes, bytes]:
    orders = _orders(body).messages
    ids = [one.clientMessageId.encode() for one in orders]
    numbers = [one.to.encode() for one in orders]
    accepted = gateway.accept("one", ids, numbers, str(orders[0].userPriorityQueue).encode())
    rows = [
        {"apiMessageId": gateway_id.decode(), "accepted": True, "to": order.to, "error": None}
        for order, gateway_id in zip(orders, accepted, strict=True)
    ]
    return _encode({"messages": rows, "error": None}), b"application/json"


def _http_balance(_gateway: BenchGateway, _method: bytes, _body: bytes) -> tuple[bytes, bytes]:
    return b"Credit: 1000000.000", b"text/html"


def _one_balance(_gateway: BenchGateway, _method: bytes, _body: bytes) -> tuple[bytes, bytes]:
    return b'{"balance":1000000.0,"currency":"credits"}', b"application/json"


def _bench(gateway: BenchGateway, method: bytes, body: bytes) -> tuple[bytes, bytes]:
    if method == b"POST":
        gateway.settings(json.loads(body or b"{}"))
    return _encode(gateway.counts()), b"application/json"


def _arrivals(gateway: BenchGateway, _method: bytes, _body: bytes) -> tuple[bytes, bytes]:
    return _encode(gateway.arrivals), b"application/json"


def _unknown(_gateway: BenchGateway, _method: bytes, _body: bytes) -> tuple[bytes, bytes]:
    return b"ERR: 100, unknown path", b"text/html"


ROUTES: dict[bytes, Callable[[BenchGateway, bytes, bytes], tuple[bytes, bytes]]] = {
    b"/http/sendmsg": _sendmsg,
    b"/http/getbalance": _http_balance,
    b"/xml/xml": _xml,
    b"/v1/message": _one,
    b"/v1/balance": _one_balance,
    b"/public-client/balance": _one_balance,
    b"/bench": _bench,
    b"/bench/arrivals": _arrivals,
}


def _receipt(api: str, status: str, message: Message) -> tuple[bytes, bytes]:
    client_id, gateway_id, to = message
    at = int(time.time())
    if api == "one":
        number, name = ONE_STATUSES[status]
        update = {
            "channel": "sms",
            "messageId": gateway_id.decode(),
            "clientMessageId": client_id.decode(),
            "timestamp": at * 1000,
            "statusCode": number,
            "status": name,
        }
        return b"application/json", _encode({"integrationId": "bench", "event": {"messageStatusUpdate": [update]}})
    body = b"api_id=bench&apiMsgId=%b&cliMsgId=%b&to=%b&from=&timestamp=%d&status=%b&charge=0.800000" % (
        gateway_id,
        client_id,
        to,
        at,
        status.encode(),
    )
    return b"application/x-www-form-urlencoded", body


async def _serve() -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    gateway = BenchGateway()
    server = await loop.create_server(lambda: ClientConnection(gateway), "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"event": "listening", "url": f"http://127.0.0.1:{port}"}), flush=True)
    pump = asyncio.create_task(gateway.pump())
    await stopped.wait()
    pump.cancel()


if __name__ == "__main__":
    asyncio.run(_serve())
