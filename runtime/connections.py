"""Connections: accepts the connections of one endpoint, and bounds their number and the time that each may take.

A connection is busy while the endpoint works on a complete request.  In every other phase it waits: for its client
(an incomplete head or body, a response that is not read, an idle connection) or for a place.  When the limit is
reached, a connection that waits is closed for a new one.  Connections that wait are grouped by their producer, those
whose producer is unknown together; the oldest of the largest group is closed.  So nobody who holds connections keeps
others out, with or without a key, and a new connection is closed last.  While all are busy, new ones stay in the
kernel's queue.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import socket
import ssl
import struct
import sys
import termios
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from threelane.runtime import logs

AT_ONCE = 64  # accepted before requests in progress continue
LOOKED_AT = 16  # of the oldest of a group, when one has to be closed
YOUNG_SECONDS = 1.0  # a connection of a small group is not closed for another one before this
SMALL = 8  # a group with less than one such part of all connections
REPORT_SECONDS = 60.0  # between two lines while the endpoint stays full
SEND_OCTETS = 128 * 1024  # in the kernel, for one connection: else a client that reads nothing gets megabytes
UNKNOWN = ""  # the group of connections whose producer is unknown
ROUND_SECONDS = 0.5
RELIEF = 0.8  # of the limit: below it, the endpoint is no longer full
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Phase(StrEnum):
    """What a connection waits for."""

    HEAD = "head"
    BODY = "body"  # the rest of a request's body; whoever reads it has the deadline
    PLACE = "place"  # memory, or a place; its request has the deadline
    READER = "reader"  # its client, to read the response
    IDLE = "idle"
    BUSY = "busy"  # nothing: a complete request is in progress


class Closed(StrEnum):
    """Why the endpoint closed a connection; label values of a metric."""

    HEAD = "head"  # its request head was incomplete at the deadline
    IDLE = "idle"
    READER = "reader"  # it did not read its response
    FULL = "full"  # closed for a new connection
    ADDRESS = "address"  # its address held too many


class Limits(NamedTuple):
    """How many connections an endpoint holds, and how long each phase may last; seconds."""

    most: int
    per_address: int
    head_seconds: float
    idle_seconds: float
    reader_seconds: float


class Connection:
    """One accepted connection."""

    __slots__ = (
        "address",
        "deadline",
        "holder",
        "is_lost",
        "is_queued",
        "phase",
        "raw",
        "request",
        "since",
        "table",
        "transport",
    )

    def __init__(self, table: Connections, raw: socket.socket, address: str) -> None:
        """Wait for a request."""
        self.table = table
        self.raw = raw
        self.address = address
        self.holder = UNKNOWN
        self.phase = Phase.BUSY
        self.since = 0.0  # when it began to wait
        self.deadline = 0.0
        self.is_queued = False  # its request waits for a place
        self.request: asyncio.Task[Any] | None = None  # what serves its request
        self.is_lost = False
        self.transport: asyncio.Transport | None = None

    def waits(self, phase: Phase) -> None:
        """Change the phase; the deadline of the same phase does not move."""
        if self.phase is not phase:
            self.table.move(self, phase)

    def belongs_to(self, holder: str) -> None:
        """Note the producer whose key its request has."""
        if self.holder != holder:
            self.table.regroup(self, holder)

    @property
    def unread_octets(self) -> int:
        """How many octets of its responses the client's side has not acknowledged."""
        octets = bytearray(4)
        try:
            fcntl.ioctl(self.raw.fileno(), termios.TIOCOUTQ, octets)
        except (OSError, ValueError):  # it is closed
            return 0
        return int.from_bytes(octets, sys.byteorder)

    def lost(self) -> None:
        """Forget the connection, and end its request, unless that is complete and in progress."""
        if self.is_lost:
            return
        self.is_lost = True
        self.table.forget(self)
        if self.request and self.phase in (Phase.BODY, Phase.PLACE):
            self.request.cancel()

    def abort(self) -> None:
        """Close the connection at once, whatever it has not read."""
        if self.phase is Phase.READER:
            with suppress(OSError):  # else the kernel keeps the response, and offers it for minutes
                self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self.transport:
            self.transport.abort()
        else:  # its TLS handshake is incomplete
            with suppress(OSError):
                self.raw.shutdown(socket.SHUT_RDWR)


CURRENT: ContextVar[Connection | None] = ContextVar("connection", default=None)
"""The connection of the request in progress: its callbacks and tasks inherit it from the task that accepted it."""


@contextmanager
def in_queue() -> Iterator[None]:
    """Mark the request in progress as waiting for a place: its connection may be closed for others."""
    connection = CURRENT.get()
    if connection is None:  # a server without limits
        yield
        return
    connection.is_queued = True
    if connection.phase is Phase.BUSY:
        connection.waits(Phase.PLACE)
    try:
        yield
    finally:
        connection.is_queued = False
        if connection.phase is Phase.PLACE:
            connection.waits(Phase.BUSY)


class Connections:
    """The connections of one endpoint."""

    def __init__(self, name: str, limits: Limits, count: Callable[[Closed], None] = lambda _: None) -> None:
        """Bound them; ``count`` is called for each connection that the endpoint closes."""
        self.limits = limits
        self._name = name
        self._count = count
        self._by_address: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._seconds = {
            Phase.HEAD: limits.head_seconds,
            Phase.IDLE: limits.idle_seconds,
            Phase.READER: limits.reader_seconds,
        }
        self._limited: dict[Phase, dict[Connection, None]] = {one: {} for one in self._seconds}
        self._groups: dict[str, dict[Connection, None]] = {UNKNOWN: {}}  # those that wait; in each, the oldest is first
        self._closed: Counter[Closed] = Counter()
        self._is_full = False
        self._reported_at = 0.0
        self._has_refused = False
        self.on_room: Callable[[], None] = lambda: None
        self._time = asyncio.get_running_loop().time

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def open(self, raw: socket.socket, address: str) -> Connection:
        """Return a new connection, which waits for a request."""
        one = Connection(self, raw, address)
        self._open.add(one)
        self._by_address[address] += 1
        self.move(one, Phase.HEAD)
        return one

    def move(self, one: Connection, phase: Phase) -> None:
        """Change the phase of a connection, and start the deadline of the new one."""
        if one not in self._open:
            return
        before, one.phase = one.phase, phase
        if before in self._limited:
            self._limited[before].pop(one, None)
        if phase is Phase.BUSY:
            self._leave_group(one)
            return
        now = self._time()
        if before is Phase.BUSY:  # else it keeps its place in its group
            one.since = now
            self._groups.setdefault(one.holder, {})[one] = None
            self._announce_room()
        if phase in self._limited:
            one.deadline = now + self._seconds[phase]
            self._limited[phase][one] = None  # deadlines of one phase are in order

    def regroup(self, one: Connection, holder: str) -> None:
        """Move a connection into the group of a producer."""
        is_grouped = one.phase is not Phase.BUSY and one in self._open
        if is_grouped:
            self._leave_group(one)
        one.holder = holder
        if is_grouped:
            self._groups.setdefault(holder, {})[one] = None

    def forget(self, one: Connection) -> None:
        """Remove a connection."""
        if one not in self._open:
            return
        self._open.discard(one)
        if one.phase in self._limited:
            self._limited[one.phase].pop(one, None)
        self._leave_group(one)
        self._by_address[one.address] -= 1
        if not self._by_address[one.address]:
            del self._by_address[one.address]
        self._announce_room()

    def _leave_group(self, one: Connection) -> None:
        group = self._groups.get(one.holder)
        if group is not None:
            group.pop(one, None)
            if not group and one.holder != UNKNOWN:
                del self._groups[one.holder]

    def _announce_room(self) -> None:
        """Accept again, if new connections stay in the kernel's queue."""
        if self._has_refused:
            self._has_refused = False
            self.on_room()

    def has_room(self) -> bool:
        """Return whether one more may be accepted; closes one that waits if the limit is reached."""
        if len(self._open) < self.limits.most:
            return True
        self.report_full("the limit of connections is reached")
        if self.close_oldest():
            return True
        self._has_refused = True
        return False

    def admits(self, address: str) -> bool:
        """Return whether one more of an address may be held; closes the oldest of it that waits."""
        if self._by_address[address] < self.limits.per_address:
            return True
        for group in self._groups.values():  # those without a producer are first
            for one in group:
                if one.address == address:
                    self._close(one, Closed.ADDRESS)
                    return True
        self._count(Closed.ADDRESS)
        return False

    def close_oldest(self) -> bool:
        """Close a connection that waits and return whether there was one.

        It is of the largest group.  Of the oldest there, it is one of the address that holds the most connections.
        """
        group = max(self._groups.values(), key=len)
        found = max(islice(group, LOOKED_AT), key=lambda one: self._by_address[one.address], default=None)
        if not found:
            return False
        is_small = len(group) * SMALL < self.limits.most
        if is_small and self._time() < found.since + YOUNG_SECONDS:
            return False
        self._close(found, Closed.FULL)
        return True

    def close_late(self) -> None:
        """Close the connections whose phase lasts too long."""
        now = self._time()
        for phase, waiting in self._limited.items():
            late = []
            for one in waiting:
                if one.deadline > now:
                    break
                late.append(one)
            for one in late:
                self._close(one, Closed(phase))
        self._report_relief()

    def report_full(self, problem: str) -> None:
        """Log that the endpoint is full: once, and every minute while it lasts."""
        now = self._time()
        if self._is_full and now < self._reported_at + REPORT_SECONDS:
            return
        if not self._is_full:
            self._closed.clear()
        self._is_full, self._reported_at = True, now
        limits = {"most": self.limits.most, "per_address": self.limits.per_address}
        logs.event(
            "connections_full",
            level=logging.WARNING,
            endpoint=self._name,
            problem=problem,
            open=len(self),
            closed=dict(self._closed),
            **limits,
        )

    def _report_relief(self) -> None:
        if self._is_full and len(self) <= RELIEF * self.limits.most:
            self._is_full = False
            logs.event("connections_free", endpoint=self._name, open=len(self), closed=dict(self._closed))

    def _close(self, one: Connection, why: Closed) -> None:
        one.abort()
        one.lost()
        self._closed[why] += 1
        self._count(why)


class Listener:
    """Accepts connections on listening sockets, as many as their table holds."""

    def __init__(
        self,
        listening: Iterable[socket.socket],
        connections: Connections,
        protocol: Callable[[Connection], asyncio.Protocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Serve each connection by a protocol."""
        self._sockets = list(listening)
        self._connections = connections
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._is_paused = True
        self._is_closed = False
        self._accepting: set[asyncio.Task[None]] = set()
        for one in self._sockets:
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_OCTETS)  # accepted ones inherit it
        connections.on_room = self._resume_soon
        self._resume()
        self._round()

    def close(self) -> None:
        """Accept no more."""
        self._is_closed = True
        self._pause()
        self._timer.cancel()

    async def wait_closed(self) -> None:
        """Return at once: the server waits for its own connections."""

    def _round(self) -> None:
        self._connections.close_late()
        self._resume_if_paused()
        self._timer = self._loop.call_later(ROUND_SECONDS, self._round)

    def _resume_soon(self) -> None:
        self._loop.call_soon(self._resume_if_paused)

    def _resume_if_paused(self) -> None:
        if self._is_paused and not self._is_closed:
            self._resume()

    def _resume(self) -> None:
        self._is_paused = False
        for one in self._sockets:
            self._loop.add_reader(one, self._accept, one)

    def _pause(self) -> None:
        self._is_paused = True
        for one in self._sockets:
            self._loop.remove_reader(one)

    def _accept(self, listening: socket.socket) -> None:
        """Accept what waits; the next round resumes if there is no room or no descriptor."""
        for _ in range(AT_ONCE):
            if not self._connections.has_room():
                self._pause()
                return
            try:
                raw, where = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # the client went away before it was accepted
            except OSError as failed:
                self._out_of_descriptors(failed)
                return
            raw.setblocking(False)
            if isinstance(where, tuple):  # a response's head and body are two writes
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            address = str(where[0]) if isinstance(where, tuple) else ""
            if self._connections.admits(address):
                task = self._loop.create_task(self._connect(raw, address))
                self._accepting.add(task)
                task.add_done_callback(self._accepting.discard)
            else:
                raw.close()

    def _out_of_descriptors(self, failed: OSError) -> None:
        """Pause until the next round, and close a waiting connection, so that the round can accept."""
        self._connections.report_full(f"cannot accept: {failed.strerror or failed}")
        if failed.errno in _EXHAUSTED:
            self._connections.close_oldest()
        self._pause()

    async def _connect(self, raw: socket.socket, address: str) -> None:
        connection = self._connections.open(raw, address)
        CURRENT.set(connection)
        seconds = self._connections.limits.head_seconds if self._tls else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(connection), raw, ssl=self._tls, ssl_handshake_timeout=seconds
            )
        except OSError:  # the client went away, or its TLS handshake failed
            connection.lost()
            raw.close()
