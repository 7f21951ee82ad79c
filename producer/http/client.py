"""Client: HttpProducer, the way in over HTTP for threads."""

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
    """Enqueues messages through the HTTP API; answers and raises as ``Producer`` does; safe between threads.

    ``Refused`` is for what a caller can correct, ``Unavailable`` for the rest: an API or a Redis that is away, a key
    that is not known (401) and a rate that is used up (429, with ``retry_after``).  A request whose
    connection breaks is sent once more only when it cannot be done twice: when all of its messages have a client
    message id, or when it only asks.  After a time-out nothing is repeated.
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 10.0, ca_file: str | None = None) -> None:
        """Speak to the API at ``url``, as https://threelane.example:8080, with a key of it."""
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
        return wire.accepted(self._ask(wire.one(to, text, fields)))

    def try_send(
        self, to: str, text: str | None = None, **fields: Unpack[MessageFields]
    ) -> Accepted | Refused | Unavailable:
        """Enqueue one message, and return what ``send`` would raise."""
        try:
            return self.send(to, text, **fields)
        except (Refused, Unavailable) as failed:
            return failed.with_traceback(None)

    def send_many(self, messages: Iterable[MessageMapping]) -> list[Answer]:
        """Enqueue messages; the answers come in the same order."""
        answers: list[Answer] = []
        try:
            for answer in self.send_rows(messages):
                answers.append(answer)
        except Unavailable as away:
            raise Unavailable(str(away), [*answers, *away.answers], away.unsure, away.retry_after) from None
        return answers

    def send_stream(self, messages: Iterable[MessageMapping]) -> Iterator[Answer]:
        """Enqueue messages while the answers are read, a thousand at a time: for more than memory holds."""
        return self.send_rows(messages)

    def send_rows(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Answer]:
        """Do what ``send_stream`` does for rows of JSON, CSV or a database, whose types nobody could check."""
        self._check_open()
        return (answer for lot in wire.lots(rows) for answer in self._send_lot(lot))

    def status(self, message_id: str) -> MessageStatus | None:
        """Return how a message stands, or None when its id is unknown or forgotten."""
        self._check_open()
        return wire.stands(self._ask(wire.status(message_id)))

    def cancel(self, ids: Sequence[str]) -> list[Cancelled]:
        """Cancel messages by their ids; each answer says whether it was cancelled, or why it was too late."""
        self._check_open()
        return [wire.cancelled(one, self._ask(wire.cancel(one))) for one in ids]

    def move(self, message_id: str, deliver_at: datetime | str) -> Moved:
        """Put a message that waits to another time within 7 days; raises Refused when it cannot be."""
        self._check_open()
        return wire.moved(self._ask(wire.move(message_id, deliver_at)))

    def close(self) -> None:
        """Give all connections back; from now on each method raises ProducerClosed, except this one."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __enter__(self) -> Self:
        """Use it as a context."""
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ProducerClosed

    def _send_lot(self, lot: Sequence[Mapping[str, Any]]) -> list[Answer]:
        ask, refused = wire.many(lot)
        answers = wire.answers(self._ask(ask), refused, len(lot))
        if answers is not None:
            return answers
        half = len(lot) // 2
        return self._send_lot(lot[:half]) + self._send_lot(lot[half:])

    def _ask(self, ask: ApiRequest) -> ApiResponse:
        try:
            return self._once(ask)
        except _Broken as broken:
            if not ask.is_repeatable:
                raise wire.lost(broken.why, sent=True) from None
        try:
            return self._once(ask)
        except _Broken as broken:
            raise wire.lost(broken.why, sent=True) from None

    def _once(self, ask: ApiRequest) -> ApiResponse:
        """Send a request and return its answer; raises _Broken when the connection ended before it."""
        connection = self._connected()
        try:
            connection.request(ask.method, self._address.path + ask.path, ask.body or None, self._headers)
            response = connection.getresponse()
            told = ApiResponse(response.status, response.getheader("Retry-After", ""), response.read())
        except TimeoutError as failed:
            connection.close()
            raise wire.lost(failed, sent=True) from None
        except (OSError, HTTPException) as failed:
            answered = _early_answer(connection)
            connection.close()
            if answered:
                return answered
            raise _Broken(failed) from None
        except BaseException:  # half an answer must not be read by the next caller
            connection.close()
            raise
        self._keep(connection)
        return told

    def _keep(self, connection: HTTPConnection) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connected(self) -> HTTPConnection:
        """Return an idle connection that is still open, or a new one."""
        while True:
            self._check_open()  # a stream may still be read after the producer was closed
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
    """The connection ended before the answer came."""

    def __init__(self, why: Exception) -> None:
        super().__init__()
        self.why = why


def _early_answer(connection: HTTPConnection) -> ApiResponse | None:
    """Return what the API said before it had read all: that the body is too long."""
    with suppress(OSError, HTTPException):
        if connection.sock:
            response = connection.response_class(connection.sock, method="POST")
            response.begin()
            return ApiResponse(response.status, response.getheader("Retry-After", ""), response.read())
    return None
