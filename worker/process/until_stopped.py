"""Until stopped: blocks the main thread until the process gets a stop signal."""

import signal
import threading


def until_stopped() -> None:
    """Return at SIGTERM or SIGINT; call it on the main thread."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
