"""Together: what several threads want at the same time is done in one go."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

Wish = TypeVar("Wish")
Answer = TypeVar("Answer")


class _Seat(Generic[Wish, Answer]):
    """One thread's place: what it wants, the lock it sleeps on, and what came of it."""

    __slots__ = ("answer", "failed", "gate", "is_served", "wish")

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.gate = Lock()
        self.gate.acquire()  # given back by whoever serves this seat, or makes its thread the next to serve
        self.is_served = False
        self.answer: Answer | None = None
        self.failed: BaseException | None = None


class Together(Generic[Wish, Answer]):
    """Group commit: while one thread is at work for all that had come, the next ones gather; nobody lingers.

    A call that finds nobody at work is served at once and alone, so a single caller pays nothing.
    """

    def __init__(self, serve: Callable[[Sequence[Wish]], Sequence[Answer]], most: int) -> None:
        """``serve`` answers up to ``most`` wishes, in their order; what it raises, each of their threads raises."""
        self._serve = serve
        self._most = most
        self._is_at_work = False
        self._begin()
        _ALL.add(self)

    def ask(self, wish: Wish) -> Answer:
        """Return the answer to a wish; may do others' work on the way."""
        seat: _Seat[Wish, Answer] = _Seat(wish)
        with self._lock:
            self._waiting.append(seat)
            leads, self._is_at_work = not self._is_at_work, True
        if not leads:
            seat.gate.acquire()  # until it is served, or is to lead
        if not seat.is_served:
            self._lead()
        if seat.failed is not None:
            raise seat.failed
        return seat.answer  # type: ignore[return-value]  # it is served

    def _begin(self) -> None:
        """Begin with nobody at work; also in a child process, which has none of its parent's other threads."""
        self._lock = Lock()
        self._waiting: list[_Seat[Wish, Answer]] = []
        self._is_at_work = False

    def _lead(self) -> None:
        """Serve the first that wait, ourselves among them, and hand the lead to the first of the rest."""
        with self._lock:
            seats, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            for seat, answer in zip(seats, self._serve([seat.wish for seat in seats]), strict=True):
                seat.answer = answer
        except BaseException as failed:  # also an interrupt: the others must not wait for ever
            for seat in seats:
                seat.failed = failed
        finally:
            with self._lock:
                successor = self._waiting[0] if self._waiting else None
                self._is_at_work = successor is not None
            for seat in seats:
                seat.is_served = True
                seat.gate.release()
            if successor is not None:
                successor.gate.release()


_ALL: WeakSet[Together[Any, Any]] = WeakSet()


def _begin_in_child() -> None:
    for together in list(_ALL):
        together._begin()


if hasattr(os, "register_at_fork"):  # not where nothing forks
    os.register_at_fork(after_in_child=_begin_in_child)
