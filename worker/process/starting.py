"""Starting: what stop signals do before Celery handles them.

The first process of a container would otherwise ignore SIGTERM while it waits for Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from celery.worker import state

from threelane.runtime import logs
from threelane.runtime.ending import ENDING, on_stop
from threelane.runtime.exits import Exit

END_SECONDS = 5.0  # for a process that has taken nothing


def end_by_signal() -> None:
    """From now on a signal ends the process at once: it has taken nothing."""
    on_stop(_end)


def drain_by_signal(begin: Callable[[], None]) -> None:
    """From now on a signal begins the end, and the process ends when it has started, as Celery ends one."""

    def stop_soon(*_: object) -> None:
        begin()
        state.should_stop = Exit.OK  # type: ignore[assignment] # the stubs have its first value

    on_stop(stop_soon)


def _end(*_: object) -> NoReturn:
    on_stop(lambda *_: None)  # a second signal changes nothing
    logs.event("stopped")
    ENDING.begin(END_SECONDS)  # the exception may be raised where it is ignored
    raise SystemExit(Exit.OK)
