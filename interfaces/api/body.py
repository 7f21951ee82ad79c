"""Body: what a request carries, read up to a limit and within a time; and what an answer does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request
from fastapi.responses import Response

from threelane.interfaces.api.house import house_of
from threelane.interfaces.api.problem import stop

SINGLE = 512 * 1024  # octets: the longest text that is read, and room for the rest
MIB = 1024 * 1024


async def _single(request: Request) -> bytes:
    return await _read(request, SINGLE)


async def _list(request: Request) -> AsyncIterator[bytes]:
    house = house_of(request)
    async with house.lists:  # so many are kept in memory, and no more are read
        yield await _read(request, int(house.settings.api_body_mib * MIB))


async def _read(request: Request, most: int) -> bytes:
    """Return the body; nothing beyond the limit is kept, and nothing at all is read of what says that it is longer."""
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said[:20]) > most:
        raise _too_long(most)
    body = bytearray()
    try:
        async with asyncio.timeout(house_of(request).settings.api_body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_long(most)
    except TimeoutError:
        remedy = "send it quicker, or in smaller lists"
        raise stop(408, "the body did not arrive in time", field="body", remedy=remedy) from None
    return bytes(body)


def answered(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a value as JSON."""
    return Response(msgspec.json.encode(value), status, headers=headers, media_type="application/json")


def _too_long(most: int) -> Exception:
    remedy = "send several shorter ones"
    return stop(413, f"the body is longer than {most:,} octets", field="body", remedy=remedy)


Single = Annotated[bytes, Depends(_single)]
List = Annotated[bytes, Depends(_list)]
