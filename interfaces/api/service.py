"""Service: what all requests of one API process share."""

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


class Service(NamedTuple):
    """The settings, the producer, a client of the same Redis, and limits for long requests.

    Long requests and probes have threads of their own: a login code waits behind no list, and a probe behind nothing.
    """

    settings: ApiSettings
    producer: Producer
    redis: redis.Redis
    lists: asyncio.Semaphore
    long: anyio.CapacityLimiter
    probes: anyio.CapacityLimiter

    async def aside(self, work: Callable[Given, Came], *given: Given.args, **named: Given.kwargs) -> Came:
        """Run a long piece of work on a thread of its own group and return its result."""
        return await anyio.to_thread.run_sync(partial(work, *given, **named), limiter=self.long)


def create_service(settings: ApiSettings, producer: Producer, client: redis.Redis) -> Service:
    """Return what one application shares."""
    limits: Any = [anyio.CapacityLimiter(number) for number in (LONG, PROBES)]
    return Service(settings, producer, client, asyncio.Semaphore(LONG), *limits)


def service_of(request: Request) -> Service:
    """Return what the application shares, for a request."""
    service: Service = request.app.state.service
    return service


async def _shared(request: Request) -> Service:
    return service_of(request)


Shared = Annotated[Service, Depends(_shared)]
