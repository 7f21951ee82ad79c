"""Credit: reads the balance in turn, and redrives the dead letters for lack of credit when there is credit again."""

from __future__ import annotations

import asyncio
from functools import partial

from threelane.store.connect import connect
from threelane.store.find import Filter
from threelane.worker.account import balance, credentials
from threelane.worker.dead.redrive import redrive
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty

LOOK_SECONDS = 1.0  # how often a worker checks whether to read the balance


async def _turn(context: WorkerContext) -> bool:
    return context.may_call and await balance.take_turn(context.client, context.settings, context.clock.now())


async def _round(context: WorkerContext) -> bool:
    is_of_account = partial(credentials.accepts, context)
    if not await balance.read(context.client, context.gateway, context.settings, context.clock.now(), is_of_account):
        return False
    if (
        context.settings.on_credit == "auto"
    ):  # before lifting the hold: if this worker dies here, the next one does both
        await asyncio.to_thread(_redrive, context, context.clock.now())
    await balance.lift(context.client, context.clock.now(), context.settings.space)
    return False


def _redrive(context: WorkerContext, now: int) -> None:
    with connect(context.settings) as client:  # only after a top-up, so a new connection is cheap enough
        for code in balance.no_credit_codes():
            redrive(client, context.nudger, Filter(code=code), now, context.settings.space)


DUTY = Duty(name="balance", interval_seconds=LOOK_SECONDS, work=_round, turn=_turn, while_draining=False)
