"""Courier: posts one producer's events to its webhook, several at once, independently of other producers."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import redis.asyncio

from threelane.runtime import logs
from threelane.runtime.clock import RedisClock
from threelane.store.registry import Registration
from threelane.worker.process.duty import Duty
from threelane.worker.process.internal_error import FaultStep, report
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks.deliveries import Deliveries
from threelane.worker.webhooks.delivery import Delivery
from threelane.worker.webhooks.metrics import WEBHOOKS
from threelane.worker.webhooks.post import PostResult, PostVerdict, post

LOOK_SECONDS = 1.0  # how often to look for events that another dispatcher has spread


class Courier:
    """Posts the events of one producer; set ``wake`` when there are new ones."""

    draining = False

    def __init__(
        self,
        client: redis.asyncio.Redis,
        name: str,
        registration: Registration,
        deliveries: Deliveries,
        session: aiohttp.ClientSession,
        clock: RedisClock,
        settings: WebhookSettings,
    ) -> None:
        """Work for the named producer; ``registration`` may be replaced at any time."""
        self.client = client
        self.clock = clock
        self.name = name
        self.registration = registration
        self.deliveries = deliveries
        self.wake = asyncio.Event()
        self.under_way: set[asyncio.Task[None]] = set()
        self._session = session
        self._most = settings.webhook_connections

    async def round(self) -> bool:
        """Post the events that are due, or wait until there may be more."""
        self.wake.clear()
        room = self._most - len(self.under_way)
        if not room:
            await asyncio.wait(self.under_way, return_when=asyncio.FIRST_COMPLETED)
            return False
        now = self.clock.now()
        due, taken = await self.deliveries.take(room, now)
        for event_id, delivery in taken:
            task = asyncio.create_task(self._deliver(event_id, delivery))
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)
        if len(taken) < room:
            await self._pause(LOOK_SECONDS if due is None else min(LOOK_SECONDS, (due - now) / 1000))
        return False

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self.wake.wait()
        except TimeoutError:
            return

    async def _deliver(self, event_id: str, delivery: Delivery) -> None:
        now = self.clock.now()
        try:
            answer = await post(self._session, self.registration, event_id, bytes(delivery.event), now // 1000)
        except Exception as failed:  # our own code: a failed try, so that it is set aside in the end
            answer = PostResult(PostVerdict.FAILED, 0, report(FaultStep.WEBHOOK, event_id, failed))
        WEBHOOKS.labels(answer.result).inc()
        about: dict[str, Any] = {
            "id": event_id,
            "producer": self.name,
            "status": answer.status,
            "tries": delivery.tries + 1,
        }
        try:
            if answer.result is PostVerdict.TAKEN:
                await self.deliveries.done(event_id)
                logs.event("webhook_taken", **about)
            elif await self.deliveries.failed(event_id, delivery, answer.reason, self.clock.now()):
                WEBHOOKS.labels("dead").inc()
                logs.event("webhook_dead", level=30, reason=answer.reason, **about)
            else:
                logs.event("webhook_failed", level=30, reason=answer.reason, **about)
        except Exception as failed:  # its lease lapses, and it is tried again
            logs.event("webhook_unsettled", level=30, error=type(failed).__name__, **about)
        self.wake.set()  # it may be due again before the next look


DUTY = Duty(name="courier", interval_seconds=0.0, work=Courier.round)  # a round does its own waiting
