"""Stop: cancels messages at the gateway whose cancellation was requested.

A message in doubt, whose gateway id is unknown, is cancelled by our id where the API can.  "Not found" proves nothing
then: the request is repeated as long as the message is in doubt, and, of one for the gateway's scheduler, until its
delivery time, also after look-ups have ended its doubt as cancelled.
"""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio

from threelane.runtime import logs, tracing
from threelane.store import keys, rows
from threelane.store.record import Field
from threelane.store.states import FINAL, Status
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.gateway.outcome import Cancellation, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.rule import Table, Verdict
from threelane.worker.policy.statuses import meaning
from threelane.worker.process.duty import Duty
from threelane.worker.process.internal_error import OUTAGES, FaultStep, report
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.receipt.receipt import from_look_up, receive

BATCH = 20
STOP_SECONDS = 1.0
AGAIN_MS = 30_000  # repeat a cancel whose result was lost


async def stop(client: redis.asyncio.Redis, gateway: Gateway, settings: WorkerSettings, now: int) -> int:
    """Cancel up to 20 messages at the gateway; returns how many it tried."""
    stopping = keys.names(settings.space).STOPPING
    due: Any = await client.zrange(stopping, "-inf", now, byscore=True, offset=0, num=BATCH)
    mine = [one for one in due if await client.zadd(stopping, {one: now + AGAIN_MS}, xx=True, gt=True, ch=True)]
    await asyncio.gather(
        *(_try_to_stop(client, gateway, settings, one, now) for one in await rows.take_ids(client, stopping, mine))
    )
    return len(mine)


async def _try_to_stop(
    client: redis.asyncio.Redis, gateway: Gateway, settings: WorkerSettings, message_id: str, now: int
) -> None:
    """Cancel a message; one at which our own code fails stops no other, and is not tried again."""
    try:
        await _stop(client, gateway, settings, message_id, now)
    except OUTAGES:
        raise
    except Exception as failed:
        report(FaultStep.CANCEL, message_id, failed)
        await client.zrem(keys.names(settings.space).STOPPING, message_id)


async def _stop(
    client: redis.asyncio.Redis, gateway: Gateway, settings: WorkerSettings, message_id: str, now: int
) -> None:
    names = [Field.STATUS, Field.GATEWAY_ID, Field.GATEWAY_DUE, Field.FORMER_ID, Field.DOUBTED, Field.ACCOUNT]
    found: Any = await client.hmget(keys.record(message_id), names)
    status, gateway_id, due, former_id, doubted, account = (one.decode() if one else "" for one in found)
    stopping = keys.names(settings.space).STOPPING
    if account != settings.space.account:  # this gateway does not have it
        await client.zrem(stopping, message_id)
        return
    if status == Status.SENDING:  # cancelled during its attempt: it may still reach the gateway
        return
    is_hidden = status == Status.CANCELLED and doubted != "" and int(due or 0) > now
    if status == Status.IN_DOUBT or is_hidden:
        if gateway.can_cancel_by_our_id and not await _stop_by_our_id(
            client, gateway, settings, message_id, former_id, now
        ):
            again_at = now + max(AGAIN_MS, (now - int(doubted or now)) // 4)
            await client.zadd(stopping, {message_id: again_at}, xx=True)
        return
    if status != Status.SENT or int(due or 0) <= now:
        await client.zrem(stopping, message_id)
        return
    answer = await gateway.cancel(gateway_id)
    logs.event("stop_asked", id=message_id, stopped=answer.stopped, network_status=answer.status, code=answer.code)
    if answer.stopped:
        look_up = await gateway.status(gateway_id)  # it also reports the refunded charge
        found = from_look_up(message_id, look_up)
        by_cancel = StatusReport(message_id, gateway_id, answer.status, meaning(answer.status))
        final = found if found.to in FINAL else by_cancel
        await receive(client, [final], settings.keeping, now, tracing.tracer(enabled=settings.otel), settings.space)
    if is_settled(answer, gateway.table):
        await client.zrem(stopping, message_id)


async def _stop_by_our_id(
    client: redis.asyncio.Redis,
    gateway: Gateway,
    settings: WorkerSettings,
    message_id: str,
    former_id: str,
    now: int,
) -> bool:
    """Cancel a message in doubt; returns whether the gateway has it, which is then the end of the doubt."""
    answer = await gateway.cancel_by_our_id(message_id)
    logs.event("stop_asked", id=message_id, stopped=answer.stopped, network_status=answer.status, code=answer.code)
    is_found = answer.gateway_id != "" and answer.gateway_id != former_id and meaning(answer.status) is not None
    if not is_found:
        return False
    report = StatusReport(message_id, answer.gateway_id, answer.status, meaning(answer.status))
    if answer.stopped:
        found = from_look_up(message_id, await gateway.status(answer.gateway_id))  # it has the refunded charge
        report = found if found.to in FINAL else report
    await receive(client, [report], settings.keeping, now, tracing.tracer(enabled=settings.otel), settings.space)
    if answer.stopped or meaning(answer.status) in FINAL:
        await client.zrem(keys.names(settings.space).STOPPING, message_id)
    return True


def is_settled(answer: Cancellation, table: Table) -> bool:
    """Return whether a cancel's result is final rather than a temporary failure."""
    if answer.code:
        return table.rule_for(answer.code).verdict not in (Verdict.RETRY, Verdict.REAUTH, Verdict.HOLD)
    return answer.stopped is not None and answer.text != OutcomeKind.NOT_REACHED


async def _round(context: WorkerContext) -> bool:
    if not context.may_call:
        return False
    return await stop(context.client, context.gateway, context.settings, context.clock.now()) > 0


DUTY = Duty(name="stop", interval_seconds=STOP_SECONDS, work=_round, while_draining=False)
