"""Client: HttpProducer, the HTTP client for threads."""

from __future__ import annotations

import select
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock
from typing import Any, Self, Unpack

from threelane.contract.errors import ProducerClosed, Refused
from threelane.contract.keywords import MessageFields, MessageMapping
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled
from threelane.producer.http import wire
from threelane.producer.http.wire import ApiRequest, ApiResponse
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.reschedule import Moved
from threelane.store.status import MessageStatus


class HttpProducer:
    """Enqueues messages through the HTTP API; returns and raises as ``Producer`` does; threads may share it.

    ``Refused`` is for an invalid or disallowed message, ``Unavailable`` for everything else: the API or Redis is
    unavailable, the key is unknown (401), or its rate is exceeded (429, with ``retry_after``).  A request whose
    connection breaks is retried once if that is safe: if all of its messages have a client message id, or if it only
    reads.  A time-out is not retried.
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 10.0, ca_file: str | None = None) -> None:
        """Take the API's ``url``, as https://threelane.example:8080, and an API key."""
        self._address = wire.address(url)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
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
            raise Unavailable(str(away), [*answers, *away.answers], away.unsure, away.retry_after) from None
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

    def _send_batch(self, batch: Sequence[Mapping[str, Any]]) -> list[Answer]:
        request, refused = wire.many(batch)
        answers = wire.answers(self._request(request), refused, len(batch))
        if answers is not None:
            return answers
        half = len(batch) // 2
        return self._send_batch(batch[:half]) + self._send_batch(batch[half:])

    def _request(self, request: ApiRequest) -> ApiResponse:
        try:
            return self._try(request)
        except _Broken as broken:
            if not request.is_repeatable:
                raise wire.lost(broken.error, sent=True) from None
        try:
            return self._try(request)
        except _Broken as broken:
            raise wire.lost(broken.error, sent=True) from None

    def _try(self, request: ApiRequest) -> ApiResponse:
        """Send a request and return the response; raises _Broken if the connection ended before it."""
        connection = self._connected()
        try:
            connection.request(request.method, self._address.path + request.path, request.body or None, self._headers)
            response = connection.getresponse()
            received = ApiResponse(response.status, response.getheader("Retry-After", ""), response.read())
        except TimeoutError as failed:
            connection.close()
            raise wire.lost(failed, sent=True) from None
        except (OSError, HTTPException) as failed:
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

    def _connected(self) -> HTTPConnection:
        """Return an idle connection that is still open, or a new one."""
        while True:
            self._check_open()  # a stream may be consumed after the producer was closed
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                return self._new()
            if kept.sock and not select.select([kept.sock], [], [], 0)[0]:
                return kept
            kept.close()

    def _new(self) -> HTTPConnection:
        host, port = self._address.host, self._address.port
        connection = (
            HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
            if self._tls
            else HTTPConnection(host, port, timeout=self._timeout)
        )
        try:
            connection.connect()
        except OSError as failed:
            raise wire.lost(failed, sent=False) from None
        return connection


class _Broken(Exception):
    """The connection ended before the response."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _early_response(connection: HTTPConnection) -> ApiResponse | None:
    """Return a response that the API sent before it had read the whole body, such as 413."""
    with suppress(OSError, HTTPException):
        if connection.sock:
            response = connection.response_class(connection.sock, method="POST")
            response.begin()
            return ApiResponse(response.status, response.getheader("Retry-After", ""), response.read())
    return None
