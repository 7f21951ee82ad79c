"""Group commit: requests that threads submit at the same time are processed in one batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")
R = TypeVar("R")


class _Slot(Generic[T, R]):
    """One thread's request, the lock that the thread waits on, and the result."""

    __slots__ = ("error", "is_done", "request", "result", "wake")

    def __init__(self, request: T) -> None:
        self.request = request
        self.wake = Lock()
        self.wake.acquire()  # released by the thread that processes this request, or that makes this thread the leader
        self.is_done = False
        self.result: R | None = None
        self.error: BaseException | None = None


class GroupCommit(Generic[T, R]):
    """Processes a batch on one thread while the next batch gathers; no request waits for a timer.

    A request that finds no batch in progress is processed at once and alone, so a single caller pays nothing.
    """

    def __init__(self, process: Callable[[Sequence[T]], Sequence[R]], batch_size: int) -> None:
        """Take ``process``, which returns a result for each of up to ``batch_size`` requests, in their order.

        An exception that it raises is raised in the thread of each request of the batch.
        """
        self._process = process
        self._batch_size = batch_size
        self._has_leader = False
        self._reset()
        _ALL.add(self)

    def submit(self, request: T) -> R:
        """Return the result of a request; this thread may process other threads' requests in the same batch."""
        slot: _Slot[T, R] = _Slot(request)
        with self._lock:
            self._waiting.append(slot)
            leads, self._has_leader = not self._has_leader, True
        if not leads:
            slot.wake.acquire()  # until the request is done, or this thread becomes the leader
        if not slot.is_done:
            self._lead()
        if slot.error is not None:
            raise slot.error
        return slot.result  # type: ignore[return-value]  # it is done

    def _reset(self) -> None:
        """Start without waiting requests; also in a child process, where the parent's other threads do not exist."""
        self._lock = Lock()
        self._waiting: list[_Slot[T, R]] = []
        self._has_leader = False

    def _lead(self) -> None:
        """Process the first batch, with this thread's request, and make the next waiting thread the leader."""
        with self._lock:
            batch, self._waiting = self._waiting[: self._batch_size], self._waiting[self._batch_size :]
        try:
            for slot, result in zip(batch, self._process([slot.request for slot in batch]), strict=True):
                slot.result = result
        except BaseException as error:  # also an interrupt: the other threads must not wait for ever
            for slot in batch:
                slot.error = error
        finally:
            with self._lock:
                successor = self._waiting[0] if self._waiting else None
                self._has_leader = successor is not None
            for slot in batch:
                slot.is_done = True
                slot.wake.release()
            if successor is not None:
                successor.wake.release()


_ALL: WeakSet[GroupCommit[Any, Any]] = WeakSet()


def _reset_in_child() -> None:
    for group_commit in list(_ALL):
        group_commit._reset()


if hasattr(os, "register_at_fork"):  # not on platforms without fork
    os.register_at_fork(after_in_child=_reset_in_child)
