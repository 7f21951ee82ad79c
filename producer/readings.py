"""Readings: how the numbers of a message without + or 00 are read, by key, producer and installation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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

    def learn(self, window: Iterable[Any], producer: str, connection: Callable[[], redis.Redis], now: int) -> None:
        """Read the settings of the producers of messages, if they were not read in the last minute.

        Raises Unavailable, so it is called before any of the messages is accepted.
        """
        if self._process:
            return
        named = {_name(raw, producer) for raw in window}
        unknown = [name for name in named if name and now - self._producers.get(name, (0, None))[0] >= FRESH_MS]
        if not unknown:
            return
        found = call(lambda: registry.readings(connection(), unknown))
        if len(self._producers) >= _MOST:
            self._producers.clear()
        for name, reading in zip(unknown, found, strict=True):
            self._producers[name] = now, reading or self._installation

    def applying(self, raw: Mapping[str, Any], producer: str, holder: Holder | None) -> Reading:
        """Return the reading of the key, this process, the message's producer or the installation, in this order."""
        own = stored(holder.key.numbers) if holder else None
        if own or self._process or not self._producers:
            return own or self._process or self._installation
        return self._producers.get(_name(raw, producer), (0, self._installation))[1]


def _name(raw: Any, producer: str) -> str:
    """Return the producer of a message, ``producer`` by default."""
    named = raw.get("producer") if type(raw) is dict or isinstance(raw, Mapping) else None  # the latter is slow
    return named.strip() if isinstance(named, str) else producer
