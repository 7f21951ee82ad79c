"""Body: reads request bodies within limits of size, time and memory, and writes responses.

A body is read once its key is known.  It holds memory of its producer's share until the response is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request
from fastapi.responses import Response

from threelane.contract.refusal import Owner
from threelane.interfaces.api import structure
from threelane.interfaces.api.fair_share import Lease, NoRoom
from threelane.interfaces.api.memory_budget import MemoryBudget
from threelane.interfaces.api.places import NoPlace
from threelane.interfaces.api.problem import Stop, busy, stop
from threelane.interfaces.api.service import HOLDER, LEASE, MIB, Service, service_of
from threelane.producer.http.values import MOST_MESSAGES
from threelane.runtime.connections import CURRENT
from threelane.runtime.settings import LIST_MIB

SINGLE = 512 * 1024  # octets: the longest text that is read, and room for the rest
MOST_VALUES = 20_000  # of a request that is not a list of messages
MOST_VALUES_OF_LIST = 2_000_000
STRING_FACTOR = 4  # octets of a decoded character per octet in UTF-8
EXPECTED_FACTOR = 30  # what a list is processed with, per octet of it, until its messages are counted
FORM = 8 * 1024
FORM_SECONDS = 3.0
GRACE_SECONDS = 5.0  # for a body of which nothing arrives
OCTETS_PER_RESULT = 1_000  # of a message's result, also in the response
WINDOW_OCTETS = 4 * MIB  # of the messages that are accepted together


async def _single(request: Request) -> bytearray:
    service = service_of(request)
    length = _length(request, SINGLE)
    lease = await _lease(request, service.memory, STRING_FACTOR * length)
    body = await _read(request, length, SINGLE)
    values = structure.values(body, MOST_VALUES)
    if values > MOST_VALUES:
        raise _too_long(f"the body has more than {MOST_VALUES:,} values")
    await _resize(service, lease, values * structure.OCTETS_PER_VALUE + STRING_FACTOR * len(body))
    return body


async def _list(request: Request) -> bytearray:
    service = service_of(request)
    most = int(service.settings.api_body_mib * MIB)
    length = _length(request, most)
    lease = await _lease(request, service.list_memory, length + min(LIST_MIB * MIB, EXPECTED_FACTOR * length))
    body = await _read(request, length, most)
    if len(body) < MIB:
        found = structure.items(body, MOST_MESSAGES, MOST_VALUES_OF_LIST)
    else:  # on a thread: other requests go on
        found = await asyncio.to_thread(structure.items, body, MOST_MESSAGES, MOST_VALUES_OF_LIST)
    if found > MOST_MESSAGES:
        problem = f"more than {MOST_MESSAGES:,} messages, or {MOST_VALUES_OF_LIST:,} values"
        raise _too_long(problem, field="messages", remedy=f"send at most {MOST_MESSAGES:,} at a time")
    needed = WINDOW_OCTETS + min(MOST_MESSAGES, body.count(b"{")) * OCTETS_PER_RESULT
    await _resize(service, lease, len(body) + needed)
    return body


def _length(request: Request, most: int) -> int:
    """Return the length that a body declares, or the limit; a body that declares more is not read at all."""
    declared = request.headers.get("content-length", "")
    if not declared.isdigit():
        return most
    if int(declared[:20]) > most:
        raise _too_long(f"the body is longer than {most:,} octets")
    return int(declared)


async def _form(request: Request) -> bytearray:
    """Return the body of a form, which may come from anybody: it is short, and has a few seconds.

    It holds no memory of others' share, and no place that others wait for: the limit of connections bounds it.
    """
    _length(request, FORM)
    try:
        async with asyncio.timeout(min(FORM_SECONDS, service_of(request).settings.api_body_seconds)):
            return await _stream(request, FORM)
    except TimeoutError:
        raise _late("send it faster") from None


async def _lease(request: Request, budget: MemoryBudget, octets: int) -> Lease:
    """Return the memory of a request, which the guard gives back after the response."""
    lease = budget.lease(_holder(request))
    await _resize(service_of(request), lease, octets)
    request.scope[LEASE] = lease
    return lease


def _holder(request: Request) -> str:
    """Return the producer of the key, or, where there is no key, such as at the login, the address."""
    producer: str | None = request.scope.get(HOLDER)
    return producer if producer is not None else f"address {request.client.host if request.client else ''}"


async def _read(request: Request, length: int, most: int) -> bytearray:
    """Return the body; one that arrives too slowly is given up, the sooner the less of it has arrived."""
    service = service_of(request)
    settings = service.settings
    grace = min(GRACE_SECONDS, settings.api_body_seconds)
    holder = _holder(request)
    if (connection := CURRENT.get()) and HOLDER in request.scope:
        connection.belongs_to(holder)
    try:
        async with service.incomplete.place(holder, settings.api_wait_seconds), asyncio.timeout(grace) as timeout:
            began = (timeout.when() or 0.0) - grace

            def extend(octets: int) -> None:
                arrived = octets / max(length, 1)
                timeout.reschedule(began + grace + arrived * (settings.api_body_seconds - grace))

            return await _stream(request, most, extend)
    except NoPlace:
        raise busy("too many bodies of this producer are incomplete", "send bodies faster, or fewer at once") from None
    except TimeoutError:
        raise _late("send it faster, or send smaller lists") from None


async def _stream(request: Request, most: int, arrived: Callable[[int], None] = lambda _: None) -> bytearray:
    """Return the body; ``arrived`` is called with the octets so far."""
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > most:
            raise _too_long(f"the body is longer than {most:,} octets")
        body += chunk
        arrived(len(body))
    return body


def _late(remedy: str) -> Stop:
    return stop(408, "the body did not arrive in time", field="body", remedy=remedy)


async def _resize(service: Service, lease: Lease, octets: int) -> None:
    try:
        await lease.resize(octets, service.settings.api_wait_seconds)
    except NoRoom:
        problem = "other requests use the memory for bodies"
        raise busy(problem, "retry after the seconds in Retry-After, with smaller lists") from None


def answered(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a value as JSON."""
    return Response(msgspec.json.encode(value), status, headers=headers, media_type="application/json")


def _too_long(problem: str, field: str = "body", remedy: str = "send several shorter ones") -> Stop:
    return stop(413, problem, field=field, remedy=remedy, owner=Owner.PRODUCER)


Single = Annotated[bytearray, Depends(_single)]
List = Annotated[bytearray, Depends(_list)]
Form = Annotated[bytearray, Depends(_form)]
