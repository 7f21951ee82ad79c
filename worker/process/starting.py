"""Starting: what stop signals do between the start of a worker's parts and that of Celery's consumer."""

from __future__ import annotations

from collections.abc import Callable

from celery.worker import state

from threelane.runtime.ending import on_stop
from threelane.runtime.exits import Exit


def drain_by_signal(begin: Callable[[], None]) -> None:
    """From now on a signal begins the end, and the process ends when it has started, as Celery ends one."""

    def stop_soon(*_: object) -> None:
        begin()
        state.should_stop = Exit.OK  # type: ignore[assignment] # the stubs have its first value

    on_stop(stop_soon)
