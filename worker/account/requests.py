"""Requests: a worker takes operators' requests to the gateway one by one, makes the call and writes the answer.

Vouchers are taken beside the others, so that a balance can be read while a voucher waits for its answer.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from threelane.contract.features import able
from threelane.runtime import logs
from threelane.store import account_requests, keys
from threelane.store.account_requests import AccountAnswer, AccountQuery, AccountRequest, AccountResult
from threelane.worker.account.ask import ask
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty
from threelane.worker.process.readiness import READINESS

LOOK_SECONDS = 0.5
OTHERS_FIRST_MS = 2_000
"""How long a worker that may not call the gateway leaves a request to one that may."""
CALLS = 3
"""The most calls of one request: the command, a renewed login, and the command again."""


async def _round(context: WorkerContext, queries: Collection[AccountQuery]) -> bool:
    now = context.clock.now()
    found = await account_requests.first(context.client, now, queries, context.settings.space)
    if found is None:
        return False
    row, request = found
    if context.may_call and request.query is AccountQuery.VOUCHER and able(request.query, context.gateway.name):
        await _redeem(context, row, request)
    elif context.may_call:
        if await account_requests.take(context.client, row, context.settings.space):
            await _answer(context, request, _taken(context))
            await _end(context, request, await ask(context.gateway, request.query, request.msisdn))
    elif now - request.at < OTHERS_FIRST_MS:
        return False
    elif await account_requests.take(context.client, row, context.settings.space):
        await _end(context, request, _not_called(_why_not()))
    return True


async def _redeem(context: WorkerContext, row: bytes, request: AccountRequest) -> None:
    """Take a voucher's request, redeem what is published for it, and let the balance be read at once.

    The worker listens before it takes the request, so that the voucher is published to one that hears.
    """
    async with account_requests.listening(context.client, request) as channel:
        if not await account_requests.take(context.client, row, context.settings.space):
            return
        await _answer(context, request, _taken(context))
        voucher = await account_requests.heard(channel)
    if voucher is None:
        await _end(context, request, _not_called("the voucher did not reach the worker"))
        return
    await _end(context, request, await ask(context.gateway, request.query, voucher=voucher))
    names = keys.names(context.settings.space)
    await context.client.delete(names.BALANCE_TURN, names.BALANCE_PROBE)


async def _end(context: WorkerContext, request: AccountRequest, found: AccountAnswer) -> None:
    """Write how a request ended, and log it: never the number, or the voucher."""
    await _answer(context, request, found)
    logs.event("account_request", query=request.query, result=found.result, code=found.code)


async def _answer(context: WorkerContext, request: AccountRequest, found: AccountAnswer) -> None:
    await account_requests.answer(context.client, request, found, context.settings.login)


def _taken(context: WorkerContext) -> AccountAnswer:
    seconds = account_requests.VOUCHER_SECONDS + CALLS * context.settings.gateway_timeout_seconds
    return AccountAnswer(result=AccountResult.TAKEN, seconds=seconds)


def _not_called(reason: str) -> AccountAnswer:
    return AccountAnswer(result=AccountResult.NOT_CALLED, text=reason)


def _why_not() -> str:
    """Return why this worker may not call the gateway."""
    return "; ".join(READINESS.reasons.values()) or "the gateway does not answer; see threelane holds"


def _duty(name: str, *queries: AccountQuery) -> Duty[WorkerContext]:
    work = partial(_round, queries=queries)
    return Duty(name=name, interval_seconds=LOOK_SECONDS, work=work, while_draining=False)


DUTY = _duty("account_requests", AccountQuery.BALANCE, AccountQuery.COVERAGE)
VOUCHER_DUTY = _duty("account_vouchers", AccountQuery.VOUCHER)
