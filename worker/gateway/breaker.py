"""Breaker: nothing is sent while the gateway does not answer; all workers of an address and account share it.

The breaker is open while ``tl:holds`` has its row, which every claim reads; ``tl:breaker:<fingerprint>`` has the rest.
"""

from __future__ import annotations

from typing import Any

import msgspec
import redis.asyncio

from threelane.store import keys
from threelane.worker.process.settings import WorkerSettings


class OpenBreaker(msgspec.Struct, frozen=True):
    """What this process reads of the row of an open breaker; times in milliseconds."""

    since: int
    next_probe: int = 0


class Breaker:
    """The breaker as this process last saw it; both event loops share it."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Start closed; ``load`` reads the shared state."""
        self.key = keys.breaker(settings.gateway_fingerprint)
        self.scope = scope_of(settings.gateway_fingerprint)
        self.opened_at = 0
        """When it opened last, ms; 0: never."""
        self.closed_at = 0
        """When it closed last, ms; 0: never."""
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether this process must not call the gateway."""
        return self._is_open

    async def load(self, client: redis.asyncio.Redis) -> None:
        """Read the shared state when the process starts."""
        await self.follow(client, await client.hgetall(keys.HOLDS))  # type: ignore[arg-type]

    async def follow(self, client: redis.asyncio.Redis, holds: dict[bytes, bytes]) -> None:
        """Adopt the shared state from the holds that were just read."""
        row = holds.get(self.scope.encode())
        if row is not None:
            self._is_open, self.opened_at = True, msgspec.json.decode(row, type=OpenBreaker).since
        elif self._is_open:
            self._is_open = False
            closed: Any = await client.hget(self.key, "closed")
            self.closed_at = int(closed or 0)


def scope_of(fingerprint: str) -> str:
    """Return the scope of a breaker's row among the holds."""
    return f"gateway:{fingerprint}"
