"""Credentials: a worker claims nothing until the gateway has accepted its login.

A refused login concerns the workers that have it, and no others.  Its row among the holds, which is named
``credentials:<fingerprint>``, stops them all; one of them at a time repeats the login until it is accepted, and the row
lapses when none does.  The harmless call for that reads the balance.

A gateway that does not answer the login has refused nothing, and accepted nothing: the worker waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import redis.asyncio
from redis.exceptions import RedisError

from threelane.contract.features import able
from threelane.contract.refusal import Owner
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import HERE, Space
from threelane.worker.account import hold
from threelane.worker.account.hold import Held
from threelane.worker.gateway import reach, tables
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.summary import summary
from threelane.worker.policy.rule import Scope, Table, Verdict
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty
from threelane.worker.process.readiness import LOGIN, READINESS

LOOK_SECONDS = 0.25
RETRY_MS = 4_500
"""Until the next login with refused credentials; with the look before it, lane 1 waits for at most 5 seconds."""


class Login(NamedTuple):
    """What the gateway's answer to a harmless call says of a worker's credentials; ``code`` is the refusal's."""

    is_accepted: bool
    code: str = ""
    reason: str = ""


def read(outcome: AttemptOutcome, table: Table, *, has_balance: bool = True) -> Login:
    """Return what an outcome of a harmless call shows; pure.

    Only a code that concerns the credentials refuses them.  A code that asks for a retry, and no answer, decide
    nothing.  With every other code the gateway has looked at more than the login.
    """
    rule = table.rule_for(outcome.code) if outcome.kind is OutcomeKind.REFUSED and outcome.code else None
    if rule and rule.scope is Scope.CREDENTIALS:
        return Login(False, outcome.code, f"the gateway refuses its credentials: {outcome.code} {rule.reason}")
    match outcome.kind:
        case OutcomeKind.REFUSED if rule is None or rule.verdict in (Verdict.RETRY, Verdict.REAUTH):
            return Login(False, reason=f"the gateway does not decide its login: {outcome.text[:80]}")
        case OutcomeKind.ACCEPTED | OutcomeKind.REFUSED:
            return Login(True)
        case OutcomeKind.NOT_TRIED if outcome.text == reach.CUT_BALANCE or not has_balance:
            return Login(True)
        case OutcomeKind.NOT_TRIED:
            return Login(False, reason="the answer to its login is unreadable")
    return Login(False, reason=f"the gateway does not answer its login: {summary(outcome)}")


def is_accepted() -> bool:
    """Return whether this process may claim messages, and call the gateway."""
    return LOGIN not in READINESS.reasons


def refuse(code: str, cause: str) -> None:
    """Stop this process: its credentials were refused."""
    if READINESS.wait(LOGIN, f"the gateway refuses its credentials: {code} {cause}"):
        logs.event("login_refused", level=40, code=code, reason=cause, owner=Owner.OPERATOR)


async def postpone(client: redis.asyncio.Redis, fingerprint: str, space: Space = HERE) -> None:
    """Let the next login wait: a balance that is read although sends are refused must not resume them at once."""
    with suppress(RedisError, OSError):
        await client.set(keys.login(fingerprint, space), 1, px=RETRY_MS)


async def follow(context: WorkerContext, held: Mapping[str, Held]) -> None:
    """Stop this process if its credentials are among the holds; if they are good, no others hold the account.

    When others were just refused, the password may have changed to that of this process: it logs in at once.  Workers
    of older versions hold the account for refused credentials.
    """
    own = hold.credentials_scope(context.settings.fingerprint)
    scopes = frozenset(scope for scope in held if scope.startswith(f"{Scope.CREDENTIALS}:"))
    others, context.refused_scopes = scopes - context.refused_scopes - {own}, scopes
    if refused := held.get(own):
        refuse(refused.code, refused.cause)
    if others and not is_accepted():
        await context.client.delete(_turn(context))
    account = held.get(Scope.ACCOUNT)
    if account and is_accepted() and hold.is_of_settings(account):
        await hold.lift(context.client, context.clock.now(), context.settings.space)
        logs.event("resumed", level=30, credentials="others")


async def log_in(context: WorkerContext) -> float | str:
    """Make the harmless call, and record what it shows; returns the balance, or why it is unknown."""
    balance = await context.gateway.balance()
    login = _read(context, balance)
    if login.is_accepted:
        await _accept(context)
    elif login.code:
        await _refuse(context, login.code)
    elif READINESS.wait(LOGIN, login.reason):
        logs.event("waits_for_login", level=30, problem=login.reason)
    return balance


async def accepts(context: WorkerContext, balance: float | str) -> bool:
    """Return whether a reading of the balance is no refusal of these credentials; a refusal stops their workers."""
    login = _read(context, balance)
    if login.code:
        await _refuse(context, login.code)
    return not login.code


def _read(context: WorkerContext, balance: float | str) -> Login:
    return read(reach.read(balance), _table(context), has_balance=able("balance", context.settings.gateway))


def _turn(context: WorkerContext) -> str:
    return keys.login(context.settings.fingerprint, context.settings.space)


def _table(context: WorkerContext) -> Table:
    return tables.by_gateway()[context.gateway.name]


async def _accept(context: WorkerContext) -> None:
    """Resume all workers with these credentials."""
    fingerprint = context.settings.fingerprint
    async with context.client.pipeline(transaction=False) as pipe:
        pipe.hdel(keys.names(context.settings.space).HOLDS, hold.credentials_scope(fingerprint))
        pipe.delete(_turn(context))  # the others may try at once
        await pipe.execute()
    if READINESS.clear(LOGIN):
        logs.event("login_accepted", account=context.settings.login)


async def _refuse(context: WorkerContext, code: str) -> None:
    """Stop all workers with these credentials."""
    cause = _table(context).rule_for(code).reason
    refuse(code, cause)
    now, fingerprint = context.clock.now(), context.settings.fingerprint
    refused = hold.Hold(hold.credentials_scope(fingerprint), code, cause, now + hold.REFUSED_MS, fingerprint)
    if await hold.renew(context.client, refused, now, context.settings.space):
        metrics.ALARMS.labels(code, Owner.OPERATOR).inc()


async def _round(context: WorkerContext) -> bool:
    if is_accepted() or context.breaker.fault:
        return False
    if await context.client.set(_turn(context), 1, nx=True, px=RETRY_MS):
        await log_in(context)
    return False


DUTY = Duty(name="log_in", interval_seconds=LOOK_SECONDS, work=_round, while_draining=False)
