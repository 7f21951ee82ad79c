"""Deadline: one limit of time for all that a call waits for, however many connections and reads it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_END: ContextVar[float | None] = ContextVar("end of the call", default=None)
"""When the call of this thread or task ends; every deadline inside it ends no later."""
_ARRIVED: ContextVar[float | None] = ContextVar("arrival of the request", default=None)
"""When the request of this task arrived, if it may have waited for a thread since."""


def arrive() -> None:
    """Note that a request has arrived; the threads that its task uses know it, too."""
    _ARRIVED.set(time.monotonic())


def arrived_before(moment: float) -> bool:
    """Return whether the request of this thread arrived before a moment of the monotonic clock."""
    arrived = _ARRIVED.get()
    return arrived is not None and arrived < moment


class Deadline:
    """The longest wait for one server; inside a call, no wait exceeds the end of the call.

    Calls nest: accept and nudge, each with a deadline of its own, end together with the ``send`` around them.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Limit each call to ``seconds``."""
        self._seconds = seconds
        self._monotonic = monotonic

    @contextmanager
    def within(self, seconds: float | None = None) -> Iterator[None]:
        """Limit a call of this thread, or a part of it, to ``seconds``; its end is never later than before.

        Do not yield to other code inside it: the limit would hold there, too.
        """
        before = _END.get()
        end = self._monotonic() + (self._seconds if seconds is None else seconds)
        token = _END.set(end if before is None else min(end, before))
        try:
            yield
        finally:
            _END.reset(token)

    def left(self) -> float:
        """Return the remaining seconds of this thread's call; raises TimeoutError if there are none.

        A thread outside a call has the whole time for each wait.
        """
        end = _END.get()
        if end is None:
            return self._seconds
        if (seconds := end - self._monotonic()) > 0:
            return seconds
        raise TimeoutError("the server did not answer in time")


def remaining() -> Any:
    """Return a property that replaces a timeout of a library: the remaining seconds; what the library sets is ignored.

    Its class has the deadline as ``_deadline``.
    """
    return property(lambda self: self._deadline.left(), lambda *_: None)


class BoundedSocket:
    """A socket whose every wait ends with the call: a timeout of a socket alone starts again at each byte."""

    __slots__ = ("_deadline", "_seconds", "_socket")

    def __init__(self, socket: Any, deadline: Deadline) -> None:
        """Wrap a connected socket, with or without TLS."""
        self._socket = socket
        self._deadline = deadline
        self._seconds: float | None = socket.gettimeout()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the socket."""
        return getattr(self._socket, name)

    def settimeout(self, seconds: float | None) -> None:
        """Limit each wait; the call's end limits it, too."""
        self._seconds = seconds
        self._socket.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """Return the limit of each wait."""
        return self._seconds

    def recv(self, *args: Any) -> bytes:
        """Receive."""
        return self._limited().recv(*args)  # type: ignore[no-any-return]

    def recv_into(self, *args: Any) -> int:
        """Receive into a buffer."""
        return self._limited().recv_into(*args)  # type: ignore[no-any-return]

    def read(self, *args: Any) -> bytes:
        """Receive from a TLS connection."""
        return self._limited().read(*args)  # type: ignore[no-any-return]

    def sendall(self, *args: Any) -> None:
        """Send everything."""
        self._limited().sendall(*args)

    def write(self, *args: Any) -> int:
        """Send to a TLS connection."""
        return self._limited().write(*args)  # type: ignore[no-any-return]

    def _limited(self) -> Any:
        if self._seconds != 0:  # a check without waiting
            left = self._deadline.left()
            self._socket.settimeout(left if self._seconds is None else min(left, self._seconds))
        return self._socket
