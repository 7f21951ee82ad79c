"""Client: HttpProducer, the HTTP client for threads."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, Unpack

from threelane.contract.errors import ProducerClosed, Refused
from threelane.contract.keywords import MessageFields, MessageMapping
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled
from threelane.producer.http import wire
from threelane.producer.http.wire import ApiRequest, ApiResponse
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.pause import PauseResult
from threelane.producer.reschedule import Moved
from threelane.store.batches import Batch
from threelane.store.outcome import BatchMessage
from threelane.store.progress import Progress
from threelane.store.status import MessageStatus

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 16_384  # bytes of a TLS record: the timeout of a TLS socket starts again with each


class HttpProducer:
    """Enqueues messages through the HTTP API; returns and raises as ``Producer`` does; threads may share it.

    ``Refused`` is for an invalid or disallowed message, ``Unavailable`` for everything else: the API or Redis is
    unavailable, the key is unknown (401), or its rate is exceeded (429, with ``retry_after``).  A request whose
    connection breaks is retried once if that is safe: if all of its messages have a client message id, or if it only
    reads.  A time-out is not retried.
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 10.0, ca_file: str | None = None) -> None:
        """Take the API's ``url``, as https://threelane.example:8080, and an API key; raises InvalidSettings.

        ``timeout_seconds`` is for a whole request, from the connection to the last byte of the response.
        """
        self._address = wire.address(url)
        self._headers = wire.headers(key)
        self._timeout = timeout_seconds
        self._tls = ssl.create_default_context(cafile=ca_file) if self._address.is_tls else None
        self._idle: list[HTTPConnection] = []
        self._lock = Lock()
        self._is_closed = False

    def send(self, to: str, text: str | None = None, **fields: Unpack[MessageFields]) -> Accepted:
        """Enqueue one message; raises Refused or Unavailable."""
        self._check_open()
        return wire.accepted(self._request(wire.one(to, text, fields)))

    def try_send(
        self, to: str, text: str | None = None, **fields: Unpack[MessageFields]
    ) -> Accepted | Refused | Unavailable:
        """Enqueue one message, and return the exception that ``send`` would raise."""
        try:
            return self.send(to, text, **fields)
        except (Refused, Unavailable) as failed:
            return failed.with_traceback(None)

    def send_many(self, messages: Iterable[MessageMapping]) -> list[Answer]:
        """Enqueue messages; the answers are in the same order."""
        answers: list[Answer] = []
        try:
            for answer in self.send_rows(messages):
                answers.append(answer)
        except Unavailable as away:
            raise away.including(answers) from None
        return answers

    def send_stream(self, messages: Iterable[MessageMapping]) -> Iterator[Answer]:
        """Enqueue messages, a thousand at a time, as the answers are consumed: for more than fits in memory."""
        return self.send_rows(messages)

    def send_rows(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Answer]:
        """Do the same as ``send_stream`` for untyped rows, from JSON, CSV or a database."""
        self._check_open()
        return (answer for batch in wire.batches(rows) for answer in self._send_batch(batch))

    def status(self, message_id: str) -> MessageStatus | None:
        """Return the status of a message, or None if its id is unknown or expired."""
        self._check_open()
        return wire.stands(self._request(wire.status(message_id)))

    def cancel(self, ids: Sequence[str]) -> list[Cancelled]:
        """Cancel messages by id; each result says whether it was cancelled, or why it was too late."""
        self._check_open()
        return [wire.cancelled(one, self._request(wire.cancel(one))) for one in ids]

    def move(self, message_id: str, deliver_at: datetime | str) -> Moved:
        """Reschedule a scheduled message within 7 days; raises Refused."""
        self._check_open()
        return wire.moved(self._request(wire.move(message_id, deliver_at)))

    def batches(self, *, producer: str | None = None) -> Iterator[Batch]:
        """Return the batches of this key's producer, or of another, the latest first, as they are consumed.

        A viewer or operator key without ``producer`` gets those of all producers.
        """
        self._check_open()
        return self._batches(producer)

    def batch(self, name: str, *, producer: str | None = None) -> Progress | None:
        """Return how far a batch is, None if none of its messages was accepted in 400 days."""
        self._check_open()
        return wire.progress(self._request(wire.batch(name, producer)))

    def batch_report(self, name: str, *, producer: str | None = None) -> Iterator[BatchMessage]:
        """Return each message of a batch with its outcome, unordered, as the results are consumed."""
        self._check_open()
        wire.batch(name, producer)  # an invalid name is refused here, not when the first result is consumed
        return self._batch_report(name, producer)

    def pause_batch(self, name: str, *, producer: str | None = None) -> PauseResult | None:
        """Pause a batch: nothing of it is sent until ``resume_batch``; None if it is unknown."""
        self._check_open()
        return wire.paused(self._request(wire.pause_batch(name, producer)))

    def resume_batch(self, name: str, *, producer: str | None = None) -> PauseResult:
        """Resume a batch: its messages go back to their lanes, lane 1 first, or wait for their time again."""
        self._check_open()
        return wire.resumed(self._request(wire.resume_batch(name, producer)))

    def cancel_batch(self, name: str, *, producer: str | None = None) -> Iterator[Cancelled]:
        """Cancel each message of a batch that has not ended, as ``cancel`` does, as the results are consumed."""
        self._check_open()
        wire.batch(name, producer)
        return self._cancel_batch(name, producer)

    def close(self) -> None:
        """Close all connections; every other method raises ProducerClosed from now on."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __enter__(self) -> Self:
        """Use it in a ``with`` block."""
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ProducerClosed

    def _batches(self, producer: str | None) -> Iterator[Batch]:
        cursor = wire.FIRST
        while True:
            page = wire.listed(self._request(wire.batch_list(producer, cursor)))
            yield from page.found
            cursor = page.cursor
            if cursor == wire.FIRST:
                return

    def _batch_report(self, name: str, producer: str | None) -> Iterator[BatchMessage]:
        cursor, seen = wire.FIRST, set[str]()
        while True:
            page = wire.messages_of(self._request(wire.batch_messages(name, producer, cursor)))
            yield from page.new(seen)
            cursor = page.cursor
            if cursor == wire.FIRST:
                return

    def _cancel_batch(self, name: str, producer: str | None) -> Iterator[Cancelled]:
        cursor = wire.FIRST
        while True:
            page = wire.cancelled_of(self._request(wire.cancel_batch(name, producer, cursor)))
            yield from page.messages
            cursor = page.cursor
            if cursor == wire.FIRST:
                return

    def _send_batch(self, batch: Sequence[Mapping[str, Any]]) -> list[Answer]:
        request, refused = wire.many(batch)
        answers = wire.answers(self._request(request), refused, len(batch))
        if answers is not None:
            return answers
        half = len(batch) // 2
        return self._send_batch(batch[:half]) + self._send_batch(batch[half:])

    def _request(self, request: ApiRequest) -> ApiResponse:
        ends_at = time.monotonic() + self._timeout
        try:
            return self._try(request, ends_at)
        except _NotConnected as failed:
            raise wire.lost(failed.error, sent=False) from None
        except _Broken as broken:
            if not request.is_repeatable:
                raise wire.lost(broken.error, sent=True) from None
        try:
            return self._try(request, ends_at)
        except _Broken as broken:
            raise wire.lost(broken.error, sent=True) from None

    def _try(self, request: ApiRequest, ends_at: float) -> ApiResponse:
        """Send a request and return the response; raises _Broken if the connection ended before it."""
        connection = self._connected(ends_at)
        try:
            connection.request(request.method, self._address.path + request.path, request.body or None, self._headers)
            received = _received(connection.getresponse())
        except TimeoutError as failed:
            connection.close()
            raise wire.lost(failed, sent=True) from None
        except (OSError, HTTPException, OverflowError, MemoryError) as failed:  # the last two: of an absurd length
            early = _early_response(connection)
            connection.close()
            if early:
                return early
            raise _Broken(failed) from None
        except BaseException:  # the next caller must not read the rest of this response
            connection.close()
            raise
        self._keep(connection)
        return received

    def _keep(self, connection: HTTPConnection) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connected(self, ends_at: float) -> HTTPConnection:
        """Return an idle connection that is still open, or a new one."""
        while True:
            self._check_open()  # a stream may be consumed after the producer was closed
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                return self._new(ends_at)
            timed: Any = kept.sock
            if timed and not select.select([timed], [], [], 0)[0]:
                timed.ends_at = ends_at
                return kept
            kept.close()

    def _new(self, ends_at: float) -> HTTPConnection:
        host, port = self._address.host, self._address.port
        connection = HTTPSConnection(host, port, context=self._tls) if self._tls else HTTPConnection(host, port)
        try:
            connection.sock = self._connect(ends_at)
        except OSError as failed:
            raise _NotConnected(failed) from None
        return connection

    def _connect(self, ends_at: float) -> Any:
        """Return a connected socket with a deadline; raises OSError."""
        plain = socket.create_connection((self._address.host, self._address.port), _left(ends_at))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(_left(ends_at))
            connected = self._tls.wrap_socket(plain, server_hostname=self._address.host) if self._tls else plain
        except BaseException:
            plain.close()
            raise
        return _TimedSocket(connected, ends_at)


class _TimedSocket:
    """The socket of a connection, as http.client uses it: no read or write lasts beyond ``ends_at``."""

    def __init__(self, connected: socket.socket, ends_at: float) -> None:
        self.connected = connected
        self.ends_at = ends_at

    def sendall(self, data: bytes) -> None:
        """Send all bytes; raises TimeoutError at the deadline."""
        for start in range(0, len(data), _PIECE):
            self.connected.settimeout(_left(self.ends_at))
            self.connected.sendall(data[start : start + _PIECE])

    def makefile(self, _: str) -> BufferedReader:
        """Return a reader of the responses."""
        return BufferedReader(_TimedReader(self))

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self.connected.fileno()

    def close(self) -> None:
        """Close it."""
        self.connected.close()


class _TimedReader(RawIOBase):
    """Reads from a socket until its deadline, however many reads a response takes."""

    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed
        self._raw = timed.connected.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Read what has arrived; raises TimeoutError at the deadline."""
        self._timed.connected.settimeout(_left(self._timed.ends_at))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the reader; the socket stays open for the next response."""
        self._raw.close()
        super().close()


def _left(ends_at: float) -> float:
    """Return the seconds until a deadline; raises TimeoutError after it."""
    left = ends_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _received(response: HTTPResponse) -> ApiResponse:
    retry_after, content_type = response.getheader("Retry-After", ""), response.getheader("Content-Type", "")
    return ApiResponse(response.status, retry_after, response.read(), content_type)


class _Broken(Exception):
    """The connection ended before the response."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _NotConnected(_Broken):
    """There was no connection; only the first attempt of a request can be sure that nothing was sent."""


def _early_response(connection: HTTPConnection) -> ApiResponse | None:
    """Return a response that the API sent before it had read the whole body, such as 413."""
    with suppress(OSError, HTTPException, OverflowError, MemoryError):
        if connection.sock:
            response = connection.response_class(connection.sock, method="POST")
            response.begin()
            return _received(response)
    return None
