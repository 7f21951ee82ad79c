"""Queue: a request that waits may lose its connection to others, and then gives up at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect

from threelane.runtime.connections import CURRENT


@contextmanager
def in_queue() -> Iterator[None]:
    """Mark the request in progress as waiting; the wait ends with ClientDisconnect if its connection is lost."""
    connection = CURRENT.get()
    if connection is None:  # a server without limits of connections
        yield
        return
    try:
        with connection.in_queue():
            yield
    except ConnectionAbortedError:
        raise ClientDisconnect from None
