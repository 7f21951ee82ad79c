"""Until told: a process that has nothing to do but to be there, and to go when it is asked to."""

import signal
import threading


def until_stopped() -> None:
    """Return at SIGTERM or SIGINT; to be called on the main thread."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()
