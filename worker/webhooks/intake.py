"""Intake: copies events from the stream into the deliveries of each producer that has a webhook.

The script that adds an event to the deliveries also acknowledges it.  If a dispatcher dies before that, the event stays
pending in the stream and another dispatcher takes it over; a concurrent one finds it acknowledged and adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import redis.asyncio
from redis.exceptions import ResponseError

from threelane.runtime import logs
from threelane.runtime.clock import RedisClock
from threelane.store import events, keys, registry, rows
from threelane.store.events import Event, Raw
from threelane.store.keys import DeliveriesKey, DeliveryKey
from threelane.store.scripts import script, texts
from threelane.worker.process.duty import Duty
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks.delivery import Delivery, encode
from threelane.worker.webhooks.metrics import SPREAD, WEBHOOKS

GROUP = "webhooks"
BATCH = 100
IDLE_MS = 15_000  # after this another dispatcher's batch is taken over; spreading one takes milliseconds
RECLAIM_MS = 5_000


@script(__file__, texts, intake=True)
def spread(
    *,
    deliveries: Sequence[DeliveriesKey],
    contents: Sequence[DeliveryKey],
    now: int,
    group: str,
    id: str,
    content: str,
    most: int,
    names: Sequence[str],
) -> None:
    """Add an event to the deliveries of producers; returns the names whose backlog is full."""


class EventIntake:
    """One dispatcher's share of the stream."""

    draining = False

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: WebhookSettings,
        clock: RedisClock,
        consumer: str,
        wake: Callable[[Iterable[str]], None],
    ) -> None:
        """Read as ``consumer``; ``wake`` is called with the names of the producers that have new events."""
        self.client = client
        self._settings = settings
        self.clock = clock
        self._consumer = consumer
        self._wake = wake
        # a blocking read must end before its socket times out
        self._block_ms = min(1000, max(1, int(settings.redis_timeout_seconds * 500)))
        self._claim_from = b"0-0"
        self._reclaim_at = 0

    async def round(self) -> bool:
        """Read a batch, waiting up to a second for it, and spread it."""
        try:
            listed = await self._left_behind() or await self._new()
        except ResponseError as failed:
            if not events.is_lost(failed):
                raise
            await self._create()
            return False
        if listed:
            await self._spread(listed)
        return False

    async def _new(self) -> list[tuple[str, Raw]]:
        found = await self.client.xreadgroup(
            GROUP, self._consumer, {keys.EVENTS: ">"}, count=BATCH, block=self._block_ms
        )
        return events.entries(found)

    async def _left_behind(self) -> list[tuple[str, Raw]]:
        now = self.clock.now()
        if now < self._reclaim_at:
            return []
        start = self._claim_from.decode()
        found = await self.client.xautoclaim(keys.EVENTS, GROUP, self._consumer, IDLE_MS, start, count=BATCH)
        self._claim_from, listed = events.claimed(found)
        if self._claim_from == b"0-0":
            self._reclaim_at = now + RECLAIM_MS
        return listed

    async def _create(self) -> None:
        try:
            await self.client.xgroup_create(keys.EVENTS, GROUP, id="0", mkstream=True)
        except ResponseError as failed:
            if not events.is_there(failed):
                raise

    async def _spread(self, listed: list[tuple[str, Raw]]) -> None:
        entries = await rows.table_async(self.client, keys.PRODUCERS)  # read each time: a webhook may be a second old
        hooked = [name for name, one in registry.decode(entries).items() if one.webhook]
        now = self.clock.now()
        addressed: list[tuple[str, list[str]]] = []
        async with self.client.pipeline(transaction=False) as pipe:
            for event_id, raw in listed:
                event = events.decode(event_id, raw)
                names = recipients(event, hooked) if event else []
                addressed.append((event_id, names))
                spread.queue(
                    pipe,
                    deliveries=[keys.deliveries(name) for name in names],
                    contents=[keys.delivery(name) for name in names],
                    now=now,
                    group=GROUP,
                    id=event_id,
                    content=encode(Delivery(msgspec.Raw(msgspec.json.encode(event)))).decode(),
                    most=self._settings.webhook_backlog,
                    names=names,
                )
            answers = [spread.read(reply) for reply in await pipe.execute(raise_on_error=False)]
        SPREAD.inc(len(listed))
        for (event_id, _), dropped in zip(addressed, answers, strict=True):
            for name in dropped:
                WEBHOOKS.labels("dropped").inc()
                logs.event("webhook_dropped", level=30, id=event_id, producer=name)
        self._wake({name for _, names in addressed for name in names})


def recipients(event: Event, hooked: Iterable[str]) -> list[str]:
    """Return which producers with a webhook get an event: its own, if it has one."""
    return [name for name in hooked if events.is_for(name, event)]


DUTY = Duty(name="webhooks_round", interval_seconds=0.0, work=EventIntake.round)  # a round does its own waiting
