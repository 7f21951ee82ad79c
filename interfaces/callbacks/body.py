"""Body: reads the body of a callback as it arrives; of a long one, with media, only what the sieve keeps.

A callback with media has up to 16 MiB.  A few such bodies are read at a time, the others wait without being read, so
that callbacks without media never wait for them.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from threelane.interfaces.api.places import FairPlaces
from threelane.worker.inbound.sieve import KIB, MOST, MOST_KEPT, Sieve, too_long

LONG_AT_ONCE = 16  # bodies longer than ``MOST_KEPT`` that are read at the same time
SLOWEST = 128 * KIB  # octets per second that a long body must make beyond the time of a short one
READ_OCTETS = 64 * KIB  # at once from one connection; a body that nobody reads yet takes no more than three times that


class BodyReader:
    """Reads the bodies of all requests of a process."""

    def __init__(self, seconds: float, wait_seconds: float | None = None, long_at_once: int = LONG_AT_ONCE) -> None:
        """Wait so long for a short body, and for the rest of a long one; and for its place, unless given, as long."""
        self._seconds = seconds
        self._wait_seconds = seconds if wait_seconds is None else wait_seconds
        self._long = FairPlaces(long_at_once, long_at_once)

    async def read(self, request: web.Request) -> bytes:
        """Return what is kept of the body.

        Raises TooLong, ValueError for invalid JSON, TimeoutError for a body that arrives too slowly, NoPlace if too
        many long ones are read, and what aiohttp raises for a body that is cut off or not compressed as announced.
        """
        if (request.content_length or 0) > MOST:
            raise too_long()
        sieve = Sieve()
        async with asyncio.timeout(self._seconds):
            while sieve.received <= MOST_KEPT:
                chunk = await request.content.readany()
                if not chunk:
                    return sieve.body()
                sieve.add(chunk)
        async with self._long.place("", self._wait_seconds), asyncio.timeout(self._seconds) as deadline:
            first = deadline.when() or 0.0
            before = sieve.received
            while chunk := await request.content.readany():
                sieve.add(chunk)
                deadline.reschedule(first + (sieve.received - before) / SLOWEST)
        return sieve.body()
