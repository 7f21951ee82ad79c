"""Body: reads request bodies within limits of size and time, and writes responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request
from fastapi.responses import Response

from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.service import service_of

SINGLE = 512 * 1024  # octets: the longest text that is read, and room for the rest
MIB = 1024 * 1024


async def _single(request: Request) -> bytes:
    return await _read(request, SINGLE)


async def _list(request: Request) -> AsyncIterator[bytes]:
    service = service_of(request)
    async with service.lists:  # bounds how many bodies are in memory at once
        yield await _read(request, int(service.settings.api_body_mib * MIB))


async def _read(request: Request, most: int) -> bytes:
    """Return the body; nothing past the limit is kept, and a body that declares more is not read at all."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > most:
        raise _too_long(most)
    body = bytearray()
    try:
        async with asyncio.timeout(service_of(request).settings.api_body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_long(most)
    except TimeoutError:
        remedy = "send it faster, or send smaller lists"
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
