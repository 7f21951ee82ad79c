"""Starting: what SIGTERM and SIGINT do before Celery handles them.

The first process of a container would otherwise ignore SIGTERM while it waits for Redis.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from celery.worker import state

from threelane.runtime import logs
from threelane.runtime.exits import Exit

SIGNALS = (signal.SIGTERM, signal.SIGINT)
Handler = Callable[[int, FrameType | None], None]


def end_by_signal() -> None:
    """From now on a signal ends the process at once: it has taken nothing."""
    _handle_with(_end)


def drain_by_signal() -> None:
    """From now on a signal ends the process when it has started, as Celery ends one."""
    _handle_with(_stop_soon)


def _handle_with(handler: Handler) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)


def _end(*_: object) -> NoReturn:
    logs.event("stopped")
    raise SystemExit(Exit.OK)


def _stop_soon(*_: object) -> None:
    state.should_stop = Exit.OK  # type: ignore[assignment] # the stubs have its first value
