"""Connections: accepts the connections of one endpoint, and bounds their number and the time that each may take.

A connection waits for a request (its head is incomplete, or it is idle), is busy with one, or waits for its reader.
When the limit is reached, the oldest connection without a request is closed for a new one: a client that holds
connections open cannot keep others out.  While all are busy, new ones stay in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from threelane.runtime import logs

AT_ONCE = 64  # accepted before requests in progress continue
LOOKED_AT = 16  # of the oldest waiting connections, when one has to be closed
ROUND_SECONDS = 0.5
RELIEF = 0.8  # of the limit: below it, the endpoint is no longer full
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Phase(StrEnum):
    """What a connection waits for."""

    HEAD = "head"
    IDLE = "idle"
    READER = "reader"
    BUSY = "busy"


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

    __slots__ = ("address", "deadline", "phase", "raw", "table", "transport")

    def __init__(self, table: Connections, raw: socket.socket, address: str) -> None:
        """Wait for a request."""
        self.table = table
        self.raw = raw
        self.address = address
        self.phase = Phase.BUSY
        self.deadline = 0.0
        self.transport: asyncio.Transport | None = None

    def waits(self, phase: Phase) -> None:
        """Change the phase; the deadline of the same phase does not move."""
        if self.phase is not phase:
            self.table.move(self, phase)

    def lost(self) -> None:
        """Forget the connection."""
        self.table.forget(self)

    def abort(self) -> None:
        """Close the connection at once, whatever it has not read."""
        if self.transport:
            self.transport.abort()
        else:  # its TLS handshake is incomplete
            with suppress(OSError):
                self.raw.shutdown(socket.SHUT_RDWR)


class Connections:
    """The connections of one endpoint."""

    def __init__(self, name: str, limits: Limits, count: Callable[[Closed], None] = lambda _: None) -> None:
        """Bound them; ``count`` is called for each connection that the endpoint closes."""
        self.limits = limits
        self._name = name
        self._count = count
        self._by_address: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._waiting: dict[Phase, dict[Connection, None]] = {one: {} for one in Phase if one is not Phase.BUSY}
        self._seconds = {
            Phase.HEAD: limits.head_seconds,
            Phase.IDLE: limits.idle_seconds,
            Phase.READER: limits.reader_seconds,
        }
        self._closed: Counter[Closed] = Counter()
        self._is_full = False
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
        if one.phase is not Phase.BUSY:
            self._waiting[one.phase].pop(one, None)
        one.phase = phase
        if phase is not Phase.BUSY and one in self._open:
            one.deadline = self._time() + self._seconds[phase]
            self._waiting[phase][one] = None  # deadlines of one phase are in order

    def forget(self, one: Connection) -> None:
        """Remove a connection."""
        if one not in self._open:
            return
        self._open.discard(one)
        if one.phase is not Phase.BUSY:
            self._waiting[one.phase].pop(one, None)
        self._by_address[one.address] -= 1
        if not self._by_address[one.address]:
            del self._by_address[one.address]

    def has_room(self) -> bool:
        """Return whether one more may be accepted; closes the oldest that waits if the limit is reached."""
        if len(self._open) < self.limits.most:
            return True
        self.report_full("the limit of connections is reached")
        return self.close_oldest()

    def admits(self, address: str) -> bool:
        """Return whether one more of an address may be held; closes the oldest of it that waits."""
        if self._by_address[address] < self.limits.per_address:
            return True
        for phase in (Phase.HEAD, Phase.IDLE):
            for one in self._waiting[phase]:
                if one.address == address:
                    self._close(one, Closed.ADDRESS)
                    return True
        self._count(Closed.ADDRESS)
        return False

    def close_oldest(self) -> bool:
        """Close a connection without a request and return whether there was one.

        Of the oldest incomplete heads, it is one of the address that holds the most connections.
        """
        for phase in (Phase.HEAD, Phase.IDLE):
            oldest = islice(self._waiting[phase], LOOKED_AT)
            found = max(oldest, key=lambda one: self._by_address[one.address], default=None)
            if found:
                self._close(found, Closed.FULL)
                return True
        return False

    def close_late(self) -> None:
        """Close the connections whose phase lasts too long."""
        now = self._time()
        for phase, waiting in self._waiting.items():
            late = []
            for one in waiting:
                if one.deadline > now:
                    break
                late.append(one)
            for one in late:
                self._close(one, Closed(phase))
        self._report_relief()

    def report_full(self, problem: str) -> None:
        """Log once that the endpoint is full."""
        if not self._is_full:
            self._is_full = True
            self._closed.clear()
            limits = {"most": self.limits.most, "per_address": self.limits.per_address}
            logs.event(
                "connections_full",
                level=logging.WARNING,
                endpoint=self._name,
                problem=problem,
                open=len(self),
                **limits,
            )

    def _report_relief(self) -> None:
        if self._is_full and len(self) <= RELIEF * self.limits.most:
            self._is_full = False
            logs.event("connections_free", endpoint=self._name, open=len(self), closed=dict(self._closed))

    def _close(self, one: Connection, why: Closed) -> None:
        self.forget(one)
        one.abort()
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
        if self._is_paused and not self._is_closed:
            self._resume()
        self._timer = self._loop.call_later(ROUND_SECONDS, self._round)

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
        seconds = self._connections.limits.head_seconds if self._tls else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(connection), raw, ssl=self._tls, ssl_handshake_timeout=seconds
            )
        except OSError:  # the client went away, or its TLS handshake failed
            connection.lost()
            raw.close()
