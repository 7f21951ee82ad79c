"""Connection: a kept connection that received anything but the one response of its last request is not used again."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import select
import struct
import termios
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler

WITHOUT_BODY = (204, 304)
_END_OF_HEAD = b"\r\n\r\n"
_SWITCHING = 101  # any other 1xx only precedes the response


class Conversation(ResponseHandler):
    """One connection, which notes octets that belong to no request: ``unrequested``.

    aiohttp keeps such octets and gives them to the next request on this connection as its response.
    """

    unrequested = False
    is_kept = False
    """Whether it has carried a request before."""
    _head: Any = None  # of the current request's response, once that has begun
    _body: Any = None
    _is_preceded = False  # by a 1xx: then it is not known where the response begins, nor where it ends
    _received = b""  # the head of the response, and what came with it
    _length = 0  # octets since the request
    _last = b""  # the last few of them
    _readable: select.poll

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare for a look at what the kernel has received."""
        self._readable = select.poll()
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        super().connection_made(transport)

    def set_response_params(self, **parameters: Any) -> None:
        """Begin a request; octets that arrived before it are no response to it."""
        self.unrequested, self._is_preceded = False, False
        self._head = self._body = None
        self._received, self._length = b"", 0
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Take octets of the current response; close the connection if there are any after its end."""
        if not data:  # aiohttp resumes reading
            super().data_received(data)
            return
        body = self._body
        if body is None:
            self._received += data
        elif body.is_eof():
            self._reject(data)
            return
        self._length += len(data)
        self._last = data if len(data) >= len(_END_OF_HEAD) else (self._last + data)[-len(_END_OF_HEAD) :]
        super().data_received(data)
        if self._body is not None and self._body.is_eof():
            self._check_the_end(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of a response; after a second one it is unknown which of them answers the request."""
        head, body = data
        if head.code >= 200 or head.code == _SWITCHING:
            self.unrequested = self.unrequested or self._head is not None or _is_under_way(self.transport)
            self._head, self._body = head, body
        else:
            self._is_preceded = True
        super().feed_data(data, size)

    @property
    def has_early_octets(self) -> bool:
        """Whether octets were read before a request was written."""
        return self.unrequested or self.should_close

    @property
    def has_unread_octets(self) -> bool:
        """Whether the kernel has octets, or the end, of a connection that should be silent.

        A new TLS connection is not: the server's session tickets may follow the handshake.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return True
        if not self.is_kept and transport.get_extra_info("sslcontext"):
            return False
        return bool(self._readable.poll(0))

    def _check_the_end(self, data: bytes) -> None:
        """Note octets that came together with the end of the response: another one may begin with them."""
        end_of_head = self._received.find(_END_OF_HEAD)
        if self._is_preceded or end_of_head < 0:
            self.force_close()
        elif self._head.chunked:
            if not self._last.endswith(_END_OF_HEAD):  # the last chunk ends like a head
                self._reject(data)
        else:
            length = 0 if self._head.code in WITHOUT_BODY else int(self._head.headers.get(hdrs.CONTENT_LENGTH, 0))
            excess = self._length - end_of_head - len(_END_OF_HEAD) - length
            if excess:
                self._reject(data[-excess:])

    def abandon(self) -> None:
        """Close the connection: its responses may belong to other requests."""
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    def _reject(self, data: bytes) -> None:
        """Close the connection; a blank line after a body is a habit of old servers, and does not make it doubtful."""
        self.force_close()
        if data.strip(b"\r\n"):
            self.unrequested = True
            if self.transport is not None:
                self.transport.close()


def _is_under_way(transport: asyncio.Transport | None) -> bool:
    """Return whether the other side has not even acknowledged all of a request: then nothing can be a response to it.

    So an unrequested response that crosses the next request on the network is detected.
    """
    if transport is None or transport.get_write_buffer_size():
        return transport is not None
    try:
        octets = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return False
    return bool(struct.unpack("i", octets)[0])


class Connector(aiohttp.TCPConnector):
    """Opens connections, and closes a kept one with unread octets instead of using it."""

    def __init__(self, **options: Any) -> None:
        """Take aiohttp's options; call it on the event loop."""
        super().__init__(**options)
        self._factory = functools.partial(Conversation, loop=self._loop)  # type: ignore[assignment]  # a subclass

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        """Return a connection on which nothing has arrived; raises ClientConnectionError if a new one is not so."""
        while True:
            connection = await super().connect(*args, **kwargs)
            conversation = connection.protocol
            assert isinstance(conversation, Conversation)
            if not (conversation.has_early_octets or conversation.has_unread_octets):
                conversation.is_kept = True
                return connection
            connection.close()
            if not conversation.is_kept:
                raise aiohttp.ClientConnectionError("octets before the first request")
