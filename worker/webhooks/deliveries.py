"""Deliveries: one producer's events on their way; taken under a lease, then done with, put off, or laid aside."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from threelane.store import keys
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks.delivery import Delivery, decode, encode, lua

FORGOTTEN_AT_ONCE = 500
_TAKE, _SHIFT = lua("take"), lua("shift")


class Deliveries:
    """The deliveries of one producer; several dispatchers may share them."""

    def __init__(self, client: redis.asyncio.Redis, name: str, settings: WebhookSettings) -> None:
        """Keep them for the producer of that name."""
        self._client = client
        self._settings = settings
        self._waiting, self._contents = keys.deliveries(name), keys.delivery(name)
        self._undelivered = keys.undelivered(name)
        self._take = client.register_script(_TAKE)
        self._shift = client.register_script(_SHIFT)

    async def take(self, most: int, now: int) -> tuple[int | None, list[tuple[str, Delivery]]]:
        """Take those that are due; returns when the next is due (ms), None if none waits, and ids with contents."""
        arguments = [now, now + self._settings.lease_ms, most]
        due, *taken = await self._take(keys=[self._waiting, self._contents], args=arguments)
        pairs = zip(taken[::2], taken[1::2], strict=True)
        return int(float(due)) if due else None, [(one.decode(), decode(content)) for one, content in pairs]

    async def done(self, event_id: str) -> None:
        """The webhook took it, in this try or in one whose lease had run out."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.zrem(self._waiting, event_id)
            pipe.zrem(self._undelivered, event_id)
            pipe.hdel(self._contents, event_id)
            await pipe.execute()

    async def failed(self, event_id: str, was: Delivery, reason: str, now: int) -> bool:
        """Put it off until its next try, or lay it aside after the last; tells whether it was laid aside."""
        after = was.failed(reason)
        wait_ms = after.wait_ms(self._settings.webhook_delays_seconds)
        to, score = (self._undelivered, now) if wait_ms is None else (self._waiting, now + wait_ms)
        arguments: list[str | bytes | int] = [event_id, encode(was), encode(after), score]
        shifted = await self._shift(keys=[self._waiting, to, self._contents], args=arguments)
        return bool(shifted) and wait_ms is None

    async def forget(self, before: int) -> None:
        """Forget what was laid aside before a time (ms)."""
        found: Any = await self._client.zrange(
            self._undelivered,
            "-inf",
            f"({before}",
            byscore=True,
            offset=0,
            num=FORGOTTEN_AT_ONCE,
        )
        for event_id in found:
            if await self._client.zrem(self._undelivered, event_id):  # else it was redelivered just now
                await self._client.hdel(self._contents, event_id)
