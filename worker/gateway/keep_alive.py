"""Keep alive: prevents a shared gateway session from expiring while nothing is sent."""

from __future__ import annotations

from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

KEEP_ALIVE_SECONDS = 60.0


async def _round(context: WorkerContext) -> bool:
    if context.may_call:
        await context.gateway.keep_alive()
    return False


DUTY = Duty(name="keep_alive", interval_seconds=KEEP_ALIVE_SECONDS, work=_round)
