"""House: what the requests of one process of the API share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import redis
from fastapi import Depends, Request

from threelane.producer.client import Producer
from threelane.runtime.settings import ApiSettings

LONG = 8  # requests at once that may take seconds: lists, searches, redrives
PROBES = 4
Given = ParamSpec("Given")
Came = TypeVar("Came")


class House(NamedTuple):
    """The settings, the producer behind every address, a client of the same Redis, and room for what takes long.

    Long requests and probes have threads of their own: a login code waits behind no list, and a probe behind nothing.
    """

    settings: ApiSettings
    producer: Producer
    redis: redis.Redis
    lists: asyncio.Semaphore
    long: anyio.CapacityLimiter
    probes: anyio.CapacityLimiter

    async def aside(self, work: Callable[Given, Came], *given: Given.args, **named: Given.kwargs) -> Came:
        """Return what a long piece of work comes to."""
        return await anyio.to_thread.run_sync(partial(work, *given, **named), limiter=self.long)


def furnish(settings: ApiSettings, producer: Producer, client: redis.Redis) -> House:
    """Return the house of one application."""
    limits: Any = [anyio.CapacityLimiter(number) for number in (LONG, PROBES)]
    return House(settings, producer, client, asyncio.Semaphore(LONG), *limits)


def house_of(request: Request) -> House:
    """Return what the application was made with."""
    house: House = request.app.state.house
    return house


async def _shared(request: Request) -> House:
    return house_of(request)


Shared = Annotated[House, Depends(_shared)]
