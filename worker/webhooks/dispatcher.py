"""Dispatcher: the process that posts events to the producers' webhooks.

Each event is posted as JSON (the fields of store/events.py) and signed (contract/signature.py).  A status from 200 to
299 acknowledges it; anything else is retried with growing waits, and after the last attempt the event is set aside for
an operator.  Delivery is at least once: ``Threelane-Event`` identifies duplicates.  Order is not guaranteed, not even
for one message: a ``late`` may come after the ``outcome``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import aiohttp
import redis.asyncio

from threelane.runtime import logs, variables
from threelane.runtime.clock import RedisClock
from threelane.runtime.ending import ENDING, stopped_event
from threelane.store import keys, registry, rows
from threelane.store.connect import connect_async
from threelane.worker.gateway import tables
from threelane.worker.process import metrics, probe
from threelane.worker.process.duty import Duty
from threelane.worker.process.metrics_endpoint import serve_or_exit
from threelane.worker.process.rounds import end, repeat
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks import courier as couriers
from threelane.worker.webhooks import intake as intakes
from threelane.worker.webhooks.courier import Courier
from threelane.worker.webhooks.deliveries import Deliveries
from threelane.worker.webhooks.intake import EventIntake
from threelane.worker.webhooks.post import open_session

LOOK_SECONDS = 1.0  # how soon a new webhook or secret takes effect
FORGET_SECONDS = 60.0
CLOSE_SECONDS = 15.0  # at the end, after the longest post
LOOK_UPS = 64  # concurrent name look-ups; aiohttp resolves each name once at a time, so that this many names can hang


class Dispatcher:
    """Runs one event intake, and a courier for each producer that has a webhook."""

    draining = False

    def __init__(self, client: redis.asyncio.Redis, session: aiohttp.ClientSession, settings: WebhookSettings) -> None:
        """Prepare the dispatcher; ``start`` starts it."""
        self.client = client
        self._session = session
        self._settings = settings
        self.clock = RedisClock()
        self._couriers: dict[str, tuple[Courier, asyncio.Task[None]]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._intake = EventIntake(client, settings, self.clock, socket.gethostname(), self._wake)
        self._rounds: list[asyncio.Task[None]] = []
        self._forgot_at = float("-inf")

    def start(self) -> None:
        """Start the rounds."""
        loops = (repeat(intakes.DUTY, self._intake), repeat(DUTY, self), repeat(probe.WEBHOOKS, self))
        self._rounds = [asyncio.create_task(one) for one in loops]

    async def stop(self) -> None:
        """Stop taking events, and wait for the posts under way, at most for their timeout."""
        await end([*self._rounds, *(task for _, task in self._couriers.values())])
        if under_way := self._under_way():
            await asyncio.wait(under_way, timeout=self._settings.webhook_timeout_seconds + 1)

    def is_posting(self) -> bool:
        """Return whether a post is under way."""
        return any(not post.done() for post in self._under_way())

    def _under_way(self) -> set[asyncio.Task[None]]:
        posts = (courier.under_way for courier, _ in list(self._couriers.values()))
        return self._leaving.union(*posts)

    async def look(self) -> bool:
        """Start, update and end couriers to match the registered webhooks."""
        entries = await rows.table_async(self.client, keys.PRODUCERS)
        found = registry.decode(entries)
        hooked = {name: one for name, one in found.items() if one.webhook}
        for name, registration in hooked.items():
            if name in self._couriers:
                self._couriers[name][0].registration = registration
            else:
                self._start_courier(name, registration)
        for name in self._couriers.keys() - hooked.keys():
            courier, task = self._couriers.pop(name)
            task.cancel()
            self._leaving |= courier.under_way
        self._leaving = {post for post in self._leaving if not post.done()}
        await self._forget(found)
        return False

    def _start_courier(self, name: str, registration: registry.Registration) -> None:
        deliveries = Deliveries(self.client, name, self._settings)
        courier = Courier(self.client, name, registration, deliveries, self._session, self.clock, self._settings)
        loop = repeat(couriers.DUTY, courier, producer=name)
        self._couriers[name] = (courier, asyncio.create_task(loop))

    async def _forget(self, names: Iterable[str]) -> None:
        if self.clock.monotonic() - self._forgot_at < FORGET_SECONDS:
            return
        before = self.clock.now() - self._settings.retention_ms
        for name in names:
            await Deliveries(self.client, name, self._settings).forget(before)
        self._forgot_at = self.clock.monotonic()

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._couriers:
                self._couriers[name][0].wake.set()


DUTY = Duty(name="webhooks_look", interval_seconds=LOOK_SECONDS, work=Dispatcher.look)
DUTIES: tuple[Duty[Any], ...] = (intakes.DUTY, DUTY, probe.WEBHOOKS, couriers.DUTY)
"""All duties of a dispatcher; the last one runs for each producer that has a webhook."""


def serve(settings: WebhookSettings) -> None:
    """Dispatch events until a stop signal."""
    logs.configure(settings.log_level)
    variables.warn()
    metrics.announce_alarms(*tables.each_or_exit())
    serve_or_exit(settings)
    asyncio.run(_serve(settings))


async def _serve(settings: WebhookSettings) -> None:
    stopped = stopped_event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="look-up"))
    client = connect_async(settings)
    session = open_session(settings)
    dispatcher = Dispatcher(client, session, settings)
    try:
        dispatcher.start()
        logs.event("webhooks", private_addresses=settings.webhook_private_addresses)
        await stopped.wait()
        ENDING.begin(settings.webhook_timeout_seconds + CLOSE_SECONDS, dispatcher.is_posting)
    finally:
        await dispatcher.stop()
        await session.close()
        with suppress(Exception):  # Redis may be unavailable
            await client.aclose()
