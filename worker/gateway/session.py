"""Session: one login shared by all workers; when it expires one of them renews it, and the others wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from threelane.store import keys
from threelane.worker.gateway.outcome import AttemptOutcome

RENEWAL_SECONDS = 20.0  # longest that one renewal may keep the others waiting
KEEP_SECONDS = 24 * 3600
PING_SECONDS = 600  # the gateway forgets a session 15 minutes after its last call

Authenticate = Callable[[], Awaitable[str | AttemptOutcome]]


class GatewaySession:
    """The session id that all workers of an account use; kept in Redis, asked for once per process."""

    def __init__(self, client: redis.asyncio.Redis, api: str, authenticate: Authenticate) -> None:
        """Share it under the name of the API; ``authenticate`` returns a new id, or why there is none."""
        self._client = client
        self._key = keys.session(api)
        self._authenticate = authenticate
        self._known = ""
        self._renewing = asyncio.Lock()

    async def current(self) -> str | AttemptOutcome:
        """Return the session id, logging in if nobody has yet."""
        return self._known or await self.renew("")

    async def renew(self, expired: str) -> str | AttemptOutcome:
        """Return an id other than the one that expired; of all who ask, one logs in."""
        async with self._renewing:
            if self._known and self._known != expired:
                return self._known
            lock = self._client.lock(self._key + ":renewing", timeout=RENEWAL_SECONDS, sleep=0.05)
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
        """Tell whether this process should keep the session alive now; one in each ten minutes."""
        turn = await self._client.set(self._key + ":pinged", 1, nx=True, ex=PING_SECONDS)
        return bool(turn and self._known)
