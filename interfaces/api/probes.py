"""Probes: liveness and readiness, without a key."""

from __future__ import annotations

import anyio.to_thread
import redis
from fastapi import APIRouter
from fastapi.responses import Response

from threelane.interfaces.api.body import answered
from threelane.interfaces.api.describe import answer, only_problems
from threelane.interfaces.api.service import Shared
from threelane.producer.accept import INTAKE_SHARE
from threelane.producer.http.values import Health
from threelane.producer.outage import Unavailable
from threelane.store import ceiling
from threelane.store.replies import BY_PREFIX
from threelane.store.write_check import greet

router = APIRouter(tags=["probes"])


@router.get("/health/live", responses=answer(200, Health, "the process answers", Health(True)))
async def live() -> Response:
    """Report that the process is alive; Redis is not checked."""
    return answered(Health(True))


@router.get("/health/ready", responses=answer(200, Health, "messages are taken", Health(True)) | only_problems(503))
async def ready(service: Shared) -> Response:
    """Report whether Redis takes messages; 503 has the problem."""
    await anyio.to_thread.run_sync(_require_intake, service.redis, limiter=service.probes)
    return answered(Health(True))


def _require_intake(client: redis.Redis) -> None:
    """Raise RedisError or Unavailable if no message can be accepted, as far as each user of Redis may see it."""
    if greet(client).role == "replica":
        raise Unavailable(BY_PREFIX["READONLY"].sentence)
    if ceiling.is_near(client, INTAKE_SHARE, 0):
        raise Unavailable(BY_PREFIX["OOM"].sentence)
