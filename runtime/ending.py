"""Ending: a process ends within a deadline after its stop signal, whatever does not respond then.

SIGTERM, SIGINT and SIGHUP (a closed terminal) are stop signals.  A SIGHUP that was ignored at the start, as under
``nohup``, stays ignored.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from threelane.runtime import logs
from threelane.runtime.exits import Exit

CLOSE_SECONDS = 10.0  # for closing connections once no work is under way
LOOK_SECONDS = 0.05
Handler = Callable[[int, FrameType | None], Any]


class Ending:
    """The end of this process: once begun, it is over at the deadline, or soon after the last work under way."""

    def __init__(self, leave: Callable[[int], Any] = os._exit, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Wait for ``begin``."""
        self._leave = leave
        self._monotonic = monotonic
        self._beginning = threading.Lock()
        self._watch: threading.Thread | None = None

    def begin(self, seconds: float, is_busy: Callable[[], bool] | None = None, drained: int = Exit.OK) -> None:
        """End the process after ``seconds`` at the latest, and ``CLOSE_SECONDS`` after it was last busy.

        The exit code is ``drained``, or ``Exit.CUT_OFF`` if work was under way at the deadline.  Without ``is_busy``
        there is only the deadline.  Only the first call counts.
        """
        with self._beginning:
            if self._watch:
                return
            arguments = self._monotonic() + seconds, is_busy, drained
            self._watch = threading.Thread(target=self._end_at, args=arguments, name="threelane-ending", daemon=True)
            self._watch.start()

    def _end_at(self, deadline: float, is_busy: Callable[[], bool] | None, drained: int) -> None:
        free_since = None
        while (now := self._monotonic()) < deadline:
            if is_busy and is_busy():
                free_since = None
            elif is_busy:
                free_since = now if free_since is None else free_since
                if now - free_since >= CLOSE_SECONDS:
                    break
            time.sleep(LOOK_SECONDS)
        code = Exit.CUT_OFF if is_busy and is_busy() else drained
        logs.event("ended_at_deadline", level=30, exit_code=int(code))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._leave(int(code))


ENDING = Ending()
"""The end of this process."""


def on_stop(handler: Handler) -> None:
    """Call ``handler`` on the main thread at each stop signal."""
    for number in stop_signals():
        signal.signal(number, handler)


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end this process."""
    always = (signal.SIGTERM, signal.SIGINT)
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)
