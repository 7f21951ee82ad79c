"""Deliveries: one producer's pending events; each is taken under a lease, then done, retried or set aside."""

from __future__ import annotations

from typing import Any, NamedTuple

import redis.asyncio

from threelane.store import keys, rows
from threelane.store.keys import DeliveriesKey, DeliveryKey
from threelane.store.scripts import script
from threelane.worker.process.internal_error import FaultStep, report
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks.delivery import Delivery, decode, encode, shift

FORGOTTEN_AT_ONCE = 500


class Taken(NamedTuple):
    """When the next delivery is due (ms; None if none waits), ids with contents, and ids whose content is damaged."""

    due: int | None
    deliveries: list[tuple[str, Delivery]]
    damaged: list[str]


def _taken(reply: Any) -> Taken:
    due, *taken = reply
    deliveries: list[tuple[str, Delivery]] = []
    damaged: list[str] = []
    for event_id, content in zip(map(rows.text, taken[::2]), taken[1::2], strict=True):
        try:
            deliveries.append((event_id, decode(content)))
        except Exception as failed:  # it must not stop the others, which are leased by now
            report(FaultStep.WEBHOOK, event_id, failed)
            damaged.append(event_id)
    return Taken(int(float(due)) if due else None, deliveries, damaged)


@script(__file__, _taken)
def _take(*, deliveries: DeliveriesKey, contents: DeliveryKey, now: int, lease_until: int, most: int) -> None:
    """Take deliveries that are due; returns when the next one is due, and ids with contents."""


class Deliveries:
    """The deliveries of one producer; several dispatchers may share them."""

    def __init__(self, client: redis.asyncio.Redis, name: str, settings: WebhookSettings) -> None:
        """Manage the deliveries of the named producer."""
        self._client = client
        self._settings = settings
        self._waiting, self._contents = keys.deliveries(name), keys.delivery(name)
        self._undelivered = keys.undelivered(name)

    async def take(self, most: int, now: int) -> tuple[int | None, list[tuple[str, Delivery]]]:
        """Take deliveries that are due; returns the next due time (ms; None if none waits), and ids with contents."""
        taken = await _take.run(
            self._client,
            deliveries=self._waiting,
            contents=self._contents,
            now=now,
            lease_until=now + self._settings.lease_ms,
            most=most,
        )
        for event_id in taken.damaged:
            await self.done(event_id)
        return taken.due, taken.deliveries

    async def done(self, event_id: str) -> None:
        """Remove a delivery that the webhook took, in this try or in one with a lapsed lease."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.zrem(self._waiting, event_id)
            pipe.zrem(self._undelivered, event_id)
            pipe.hdel(self._contents, event_id)
            await pipe.execute()

    async def failed(self, event_id: str, was: Delivery, reason: str, now: int) -> bool:
        """Schedule the next try, or set the event aside after the last; returns whether it was set aside."""
        after = was.failed(reason)
        wait_ms = after.wait_ms(self._settings.webhook_delays_seconds)
        to, score = (self._undelivered, now) if wait_ms is None else (self._waiting, now + wait_ms)
        shifted = await shift.run(
            self._client,
            source=self._waiting,
            target=to,
            contents=self._contents,
            id=event_id,
            was=encode(was).decode(),
            content=encode(after).decode(),
            score=score,
        )
        return bool(shifted) and wait_ms is None

    async def forget(self, before: int) -> None:
        """Delete events that were set aside before a time (ms)."""
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
