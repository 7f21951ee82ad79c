"""Probes: whether the process lives, and whether it can take messages; without a key."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter
from fastapi.responses import Response

from threelane.interfaces.api.body import answered
from threelane.interfaces.api.describe import answer, only_problems
from threelane.interfaces.api.house import Shared
from threelane.producer.http.values import Health

router = APIRouter(tags=["probes"])


@router.get("/health/live", responses=answer(200, Health, "the process answers", Health(True)))
async def live() -> Response:
    """Tell that the process answers; whether Redis does is not asked."""
    return answered(Health(True))


@router.get("/health/ready", responses=answer(200, Health, "messages are taken", Health(True)) | only_problems(503))
async def ready(house: Shared) -> Response:
    """Tell whether Redis answers; 503 says what is wrong."""
    await anyio.to_thread.run_sync(house.redis.ping, limiter=house.probes)
    return answered(Health(True))
