"""Ending: a process ends within a deadline after its stop signal, whatever does not respond then.

SIGTERM, SIGINT, SIGQUIT and SIGHUP (a closed terminal) are stop signals, all with the same effect; after the first one
further ones have none.  A SIGHUP that was ignored at the start, as under ``nohup``, stays ignored.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from threelane.runtime import logs
from threelane.runtime.exits import Exit

CLOSE_SECONDS = 10.0  # for closing connections once no work is under way
LOOK_SECONDS = 0.05
MOST_SIGNALS = 64  # that are read at once
AT_ONCE_SECONDS = 5.0  # for the end of a process that has taken nothing
Handler = Callable[[int, FrameType | None], Any]


class Ending:
    """The end of this process: once begun, it is over at the deadline, or soon after the last work under way."""

    def __init__(self, leave: Callable[[int], Any] = os._exit, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Wait for ``begin``."""
        self._leave = leave
        self._monotonic = monotonic
        self._begun = threading.Lock()  # taken once: a signal handler that waited for its own thread would wait forever

    def begin(
        self,
        seconds: float,
        is_busy: Callable[[], bool] | None = None,
        drained: int = Exit.OK,
        cuts_off: Callable[[], bool] | None = None,
    ) -> None:
        """End the process after ``seconds`` at the latest, and ``CLOSE_SECONDS`` after it was last busy.

        The exit code is ``drained``, or ``Exit.CUT_OFF`` if the end cuts work off: by default, if it was busy at the
        deadline.  Without ``is_busy`` there is only the deadline.  Only the first call counts.
        """
        if self._begun.acquire(blocking=False):
            arguments = self._monotonic() + seconds, is_busy, drained, cuts_off or is_busy
            threading.Thread(target=self._end_at, args=arguments, name="threelane-ending", daemon=True).start()

    def _end_at(
        self,
        deadline: float,
        is_busy: Callable[[], bool] | None,
        drained: int,
        cuts_off: Callable[[], bool] | None,
    ) -> None:
        free_since = None
        while (now := self._monotonic()) < deadline:
            if is_busy and is_busy():
                free_since = None
            elif is_busy:
                free_since = now if free_since is None else free_since
                if now - free_since >= CLOSE_SECONDS:
                    break
            time.sleep(LOOK_SECONDS)
        code = Exit.CUT_OFF if cuts_off and cuts_off() else drained
        logs.event("ended_at_deadline", level=30, exit_code=int(code))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._leave(int(code))


ENDING = Ending()
"""The end of this process."""


def on_stop(handler: Handler) -> None:
    """Call ``handler`` on the main thread at the first stop signal; later ones have no effect.

    A second call replaces the handler.
    """
    calls = itertools.count()

    def stop(number: int, frame: FrameType | None) -> None:
        if next(calls) == 0:
            handler(number, frame)

    for number in stop_signals():
        signal.signal(number, stop)
    atexit.unregister(_ignore)
    atexit.register(_ignore)


def end_at_once() -> None:
    """From now on a stop signal ends the process at once, with code 0: it has taken nothing."""
    on_stop(_end)


def wait_for_stop() -> None:
    """Block the main thread until a stop signal."""
    numbers = _numbers()
    while not _stops(os.read(numbers, MOST_SIGNALS)):
        pass


def stopped_event() -> asyncio.Event:
    """Return an event of the running loop that a stop signal sets.

    The loop's own handlers would go with the loop: a second signal after that would kill the process.
    """
    stopped, numbers = asyncio.Event(), _numbers()

    def read() -> None:
        if _stops(os.read(numbers, MOST_SIGNALS)):
            stopped.set()

    asyncio.get_running_loop().add_reader(numbers, read)
    return stopped


def _numbers() -> int:
    """Return the end of a pipe that reads the numbers of signals.

    The kernel may give a signal to another thread, which wakes no lock that the main thread waits for; and a handler
    that interrupts the main thread in ``Event.wait`` must not call ``Event.set``.
    """
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    on_stop(lambda *_: None)
    return reads


def _stops(numbers: bytes) -> bool:
    return any(number in stop_signals() for number in numbers)


def _end(*_: object) -> NoReturn:
    logs.event("stopped")
    ENDING.begin(AT_ONCE_SECONDS)  # the exception may be raised where it is ignored
    raise SystemExit(Exit.OK)


def _ignore() -> None:
    """Ignore stop signals while Python ends: it then restores their default, which kills the process."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end this process."""
    always = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)
