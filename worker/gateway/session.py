"""Session: one login shared by all workers; when it expires, one worker renews it and the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from threelane.store import keys
from threelane.store.keys import HERE, Space
from threelane.worker.gateway.outcome import AttemptOutcome

RENEWAL_SECONDS = 20.0  # the longest time that a renewal may block the other workers
KEEP_SECONDS = 24 * 3600
PING_SECONDS = 600  # the gateway forgets a session 15 minutes after its last call

Authenticate = Callable[[], Awaitable[str | AttemptOutcome]]


class GatewaySession:
    """The session id that all workers with the same credentials share through Redis; each process reads it once."""

    def __init__(self, client: redis.asyncio.Redis, name: str, authenticate: Authenticate, space: Space = HERE) -> None:
        """Share the id under a name that has the credentials' fingerprint, so that no other account's is used.

        ``authenticate`` returns a new id, or why the login failed.
        """
        self._client = client
        self._key = keys.session(name, space)
        self._renewing_key, self._pinged_key = (
            keys.session(f"{name}:{lock}", space) for lock in ("renewing", "pinged")
        )
        self._authenticate = authenticate
        self._known = ""
        self._renewing = asyncio.Lock()

    async def current(self) -> str | AttemptOutcome:
        """Return the session id; logs in if no worker has yet."""
        return self._known or await self.renew("")

    async def renew(self, expired: str) -> str | AttemptOutcome:
        """Return an id other than the expired one; of all concurrent callers, one logs in."""
        async with self._renewing:
            if self._known and self._known != expired:
                return self._known
            lock = self._client.lock(self._renewing_key, timeout=RENEWAL_SECONDS, sleep=0.05)
            async with lock:
                shared: Any = await self._client.get(self._key)
                if shared and shared.decode() != expired:
                    self._known = shared.decode()
                    return self._known
                renewed = await self._authenticate()
                if isinstance(renewed, str):
                    await self._client.set(self._key, renewed, ex=KEEP_SECONDS)
                    self._known = renewed
                return renewed

    async def is_my_turn_to_ping(self) -> bool:
        """Return whether this process should keep the session alive now; one process does every ten minutes."""
        turn = await self._client.set(self._pinged_key, 1, nx=True, ex=PING_SECONDS)
        return bool(turn and self._known)
