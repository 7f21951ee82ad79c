"""Readings: how the numbers of a message without + or 00 are read, by key, producer and installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import redis

from threelane.contract.reading import Reading, stored
from threelane.producer.outage import call
from threelane.store import registry
from threelane.store.access import Holder

FRESH_MS = 60_000  # how long a producer's setting is used before it is read again
_MOST = 1_000  # producers whose setting is remembered


class Readings:
    """The reading that applies to a message; its own country, parsed later, precedes all of them."""

    def __init__(self, installation: Reading, process: Reading | None = None) -> None:
        """Take the installation's reading, and that of this process, which precedes the producers'."""
        self._installation = installation
        self._process = process
        self._producers: dict[str, tuple[int, Reading]] = {}

    def applying(
        self,
        raw: Mapping[str, Any],
        producer: str,
        holder: Holder | None,
        connection: Callable[[], redis.Redis],
        now: int,
    ) -> Reading:
        """Return the reading of the key, this process, the message's producer or the installation, in this order."""
        own = stored(holder.key.numbers) if holder else None
        if own or self._process:
            return own or self._process or self._installation
        named = raw.get("producer")
        name = named.strip() if isinstance(named, str) else producer
        read_at, reading = self._producers.get(name, (0, self._installation))
        return reading if now - read_at < FRESH_MS else self._read(name, connection, now)

    def _read(self, name: str, connection: Callable[[], redis.Redis], now: int) -> Reading:
        """Read a producer's setting; raises Unavailable."""
        found = call(lambda: registry.reading(connection(), name)) if name else None
        if len(self._producers) >= _MOST:
            self._producers.clear()
        self._producers[name] = now, found or self._installation
        return found or self._installation
