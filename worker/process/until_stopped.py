"""Until stopped: blocks the main thread until the process gets a stop signal."""

from threelane.runtime.ending import ENDING, wait_for_stop


def until_stopped(close_seconds: float) -> None:
    """Return at a stop signal; the process then ends within ``close_seconds``.  Call it on the main thread."""
    wait_for_stop()
    ENDING.begin(close_seconds)
