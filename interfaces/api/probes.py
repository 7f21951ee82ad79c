"""Probes: liveness and readiness, without a key."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter
from fastapi.responses import Response

from threelane.interfaces.api.body import answered
from threelane.interfaces.api.describe import answer, only_problems
from threelane.interfaces.api.service import Shared
from threelane.producer.http.values import Health

router = APIRouter(tags=["probes"])


@router.get("/health/live", responses=answer(200, Health, "the process answers", Health(True)))
async def live() -> Response:
    """Report that the process is alive; Redis is not checked."""
    return answered(Health(True))


@router.get("/health/ready", responses=answer(200, Health, "messages are taken", Health(True)) | only_problems(503))
async def ready(service: Shared) -> Response:
    """Report whether Redis took messages within the last second; 503 has the problem.

    It fails while Redis is away, accepts no writes, or has no room for messages: every request to send has 503 then.
    """
    await anyio.to_thread.run_sync(service.check_intake, limiter=service.probes)
    return answered(Health(True))
