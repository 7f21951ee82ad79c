"""Service: what all requests of one API process share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import redis
from fastapi import Depends, Request

from threelane.interfaces.api.memory_budget import MemoryBudget
from threelane.interfaces.api.places import FairPlaces, NoPlace
from threelane.interfaces.api.problem import busy
from threelane.producer.client import Producer
from threelane.producer.intake_check import IntakeCheck
from threelane.runtime import memory
from threelane.runtime.settings import LIST_SHARE, ApiSettings

LONG = 8  # requests at once that may take seconds: lists, searches, redrives
LONG_OF_ONE = 4  # of one producer
INCOMPLETE_OF_ONE = 64  # bodies of one producer that have not arrived
MOST_INCOMPLETE = 4096
MIB = 1024 * 1024
PROCESS_MIB = 96  # of the process without requests
MOST_MEMORY_MIB = 1024
HOLDER = "threelane.producer"  # in the scope of a request: who it belongs to
LEASE = "threelane.lease"  # its memory, which the guard gives back
PROBES = 4
Given = ParamSpec("Given")
Came = TypeVar("Came")


class Service(NamedTuple):
    """The settings, the producer, a client of the same Redis, and limits for long requests.

    Long requests and probes have threads of their own: a login code waits behind no list, and a probe behind nothing.
    Lists have memory and places of their own, and one producer at most half of them.
    """

    settings: ApiSettings
    producer: Producer
    redis: redis.Redis
    memory: MemoryBudget
    list_memory: MemoryBudget
    incomplete: FairPlaces
    places: FairPlaces
    long: anyio.CapacityLimiter
    probes: anyio.CapacityLimiter
    check_intake: IntakeCheck

    async def aside(
        self, producer: str, work: Callable[Given, Came], *given: Given.args, **named: Given.kwargs
    ) -> Came:
        """Run a long piece of work of a producer on a thread of its own group and return its result."""
        try:
            async with self.places.place(producer, self.settings.api_wait_seconds):
                return await anyio.to_thread.run_sync(partial(work, *given, **named), limiter=self.long)
        except NoPlace:
            raise busy("other long requests are in progress", "retry after the seconds in Retry-After") from None


def create_service(settings: ApiSettings, producer: Producer, client: redis.Redis) -> Service:
    """Return what one application shares."""
    octets = memory_octets(settings)
    memory, list_memory = MemoryBudget(int(octets * (1 - LIST_SHARE))), MemoryBudget(int(octets * LIST_SHARE))
    incomplete, places = FairPlaces(MOST_INCOMPLETE, INCOMPLETE_OF_ONE), FairPlaces(LONG, LONG_OF_ONE)
    long, probes = (anyio.CapacityLimiter(number) for number in (LONG, PROBES))
    check = IntakeCheck(client)
    return Service(settings, producer, client, memory, list_memory, incomplete, places, long, probes, check)


def memory_octets(settings: ApiSettings) -> int:
    """Return the memory for requests: as set, or half of what the container's limit leaves to them."""
    if settings.api_memory_mib:
        return int(settings.api_memory_mib * MIB)
    available = (memory.limit() - PROCESS_MIB * MIB) // 2
    least = int(settings.least_memory_mib * MIB)
    return min(max(available, least), max(MOST_MEMORY_MIB * MIB, least))


def service_of(request: Request) -> Service:
    """Return what the application shares, for a request."""
    service: Service = request.app.state.service
    return service


async def _shared(request: Request) -> Service:
    return service_of(request)


Shared = Annotated[Service, Depends(_shared)]
