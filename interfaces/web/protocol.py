"""Protocol: HTTP/1.1 of the API; a request that two servers could read differently is refused."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from threelane.interfaces.api.service import HOLDER
from threelane.runtime.connections import Connection, Phase

READ_OCTETS = 64 * 1024  # at once from one connection; a body that nobody reads yet takes no more than twice that
PIPELINE_SECONDS = 0.25  # before a request that was sent ahead is looked at again
MOST_CHUNKS = 256  # of a connection whose chunks are shorter than ``CHUNK_OCTETS`` on average
CHUNK_OCTETS = 128
_AMBIGUOUS = re.compile(rb"(?<!\r)\n|\r\n[ \t]")  # a line that ends with LF alone, a folded line
_LENGTH = b"\r\ncontent-length"
_CODING = b"\r\ntransfer-encoding"
_SEVERAL_LENGTHS = re.compile(rb"\r\ncontent-length[^\r]*,")


class StrictConnection(h11.Connection):
    """An HTTP/1.1 connection that refuses what h11 tolerates and a proxy may read differently (RFC 9112, 11.2).

    It also refuses a body of many tiny chunks: each costs as much as a long one.
    """

    def __init__(self, role: type[h11.CLIENT] | type[h11.SERVER]) -> None:
        """Begin with no chunk."""
        super().__init__(role)
        self._chunks = self._octets = 0

    def next_event(self) -> Any:
        """Return the next event; raises RemoteProtocolError for an ambiguous head, or too many chunks."""
        if self.their_state is h11.IDLE and (problem := ambiguity(self.trailing_data[0])):
            raise h11.RemoteProtocolError(problem)
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._count(event)
        return event

    def _count(self, data: h11.Data) -> None:
        self._chunks += bool(data.chunk_end)
        self._octets += len(data.data)
        if self._chunks > MOST_CHUNKS and self._octets < self._chunks * CHUNK_OCTETS:
            raise h11.RemoteProtocolError("the chunks of the body are too small")


def ambiguity(received: bytes) -> str:
    """Return why the head that starts here is ambiguous; empty if it is not, or not yet."""
    end = received.find(b"\r\n\r\n")
    if _AMBIGUOUS.search(received, 0, end if end >= 0 else len(received)):
        return "a line of the head is folded, or does not end with CRLF"
    if end < 0:
        return ""
    head = received[:end].lower()
    lengths, codings = head.count(_LENGTH), head.count(_CODING)
    if lengths + codings > 1 or (lengths and _SEVERAL_LENGTHS.search(head)):
        return "the length of the body is given more than once"
    if codings and b" http/1.0\r\n" in head:
        return "HTTP/1.0 has no Transfer-Encoding"
    return ""


class ApiProtocol(H11Protocol):
    """Serves one connection and reports what it waits for."""

    def __init__(self, *, connection: Connection, **more: Any) -> None:
        """Serve this connection."""
        super().__init__(**more)
        self.conn = StrictConnection(h11.SERVER)
        self.connection = connection
        self._is_writing = True
        self._has_served = False
        self._has_next = False  # the next request waits until the client reads

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve it, unless it was closed for another one in the meantime."""
        super().connection_made(transport)
        self.connection.transport = transport
        if hasattr(transport, "max_size"):
            transport.max_size = READ_OCTETS

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.connection.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle data."""
        super().data_received(data)
        self._report()

    def on_response_complete(self) -> None:
        """Wait for the next request; one that has arrived waits until the client reads."""
        self._has_served = True
        self.cycle.body = bytearray()  # what the request's handler did not read
        self._has_next = True
        self._go_on()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._is_writing = False
        self._report()

    def resume_writing(self) -> None:
        """Continue to write."""
        super().resume_writing()
        self._is_writing = True
        self._go_on()

    def _go_on(self) -> None:
        """Continue with the next request, if it has not arrived yet or the client has received the last response."""
        if self._has_next and self._is_writing and not self.transport.is_closing():
            if self.conn.trailing_data[0] and self.connection.unread_octets:
                self.loop.call_later(PIPELINE_SECONDS, self._go_on)
            else:
                self._has_next = False
                super().on_response_complete()
        self._report()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request once and close the connection, even while an earlier response is being written."""
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True  # its handler stops reading, and sends nothing after this response
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _report(self) -> None:
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if self.cycle is not None and (holder := self.cycle.scope.get(HOLDER)) is not None:
            self.connection.belongs_to(str(holder))
        if not self._is_writing or self._has_next:
            phase = Phase.READER
        elif is_answering and self.conn.their_state is h11.SEND_BODY:
            phase = Phase.BODY
        elif is_answering:
            phase = Phase.PLACE if self.connection.is_queued else Phase.BUSY
        elif self._has_served and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            phase = Phase.IDLE
        else:  # also while it sends the rest of a body that nobody reads
            phase = Phase.HEAD
        self.connection.waits(phase)
