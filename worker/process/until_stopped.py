"""Until stopped: blocks the main thread until the process gets a stop signal."""

import threading

from threelane.runtime.ending import ENDING, on_stop


def until_stopped(close_seconds: float) -> None:
    """Return at a stop signal; the process then ends within ``close_seconds``.  Call it on the main thread."""
    stopped = threading.Event()
    on_stop(lambda *_: stopped.set())
    stopped.wait()
    ENDING.begin(close_seconds)
