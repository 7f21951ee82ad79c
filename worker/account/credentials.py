"""Credentials: a worker claims nothing until the gateway has accepted its login.

A refused login concerns the workers that have it, and no others.  Its row among the holds, which is named
``credentials:<fingerprint>``, stops them all; one of them at a time repeats the login, until it is accepted.  The
harmless call for that reads the balance.  A gateway that does not answer has refused nothing: the worker waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from threelane.contract.refusal import Owner
from threelane.runtime import logs
from threelane.store import keys
from threelane.worker.account import hold
from threelane.worker.account.hold import Held
from threelane.worker.gateway import reach, tables
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.policy.rule import Scope, Table, Verdict
from threelane.worker.process import metrics
from threelane.worker.process.duty import Duty
from threelane.worker.process.readiness import LOGIN, READINESS

LOOK_SECONDS = 0.25
RETRY_MS = 4_500
"""Until the next login with refused credentials; with the look before it, lane 1 waits for at most 5 seconds."""
_ANSWERED = (OutcomeKind.ACCEPTED, OutcomeKind.REFUSED, OutcomeKind.NOT_TRIED)


class Login(NamedTuple):
    """What the gateway's answer to a harmless call says of a worker's credentials; ``code`` is the refusal's."""

    is_accepted: bool
    code: str = ""
    reason: str = ""


def scope_of(fingerprint: str) -> str:
    """Return the scope of refused credentials among the holds."""
    return f"{Scope.CREDENTIALS}:{fingerprint}"


def read(outcome: AttemptOutcome, table: Table) -> Login:
    """Return what an outcome of a harmless call shows; pure.

    Only a code that concerns the credentials refuses them.  A code that asks for a retry, and no answer, decide
    nothing.  With every other answer the gateway has looked at more than the login.
    """
    if outcome.kind not in _ANSWERED:
        return Login(False, reason=f"the gateway does not answer: {outcome.in_words()}")
    rule = table.rule_for(outcome.code) if outcome.code else None
    if rule and rule.scope is Scope.CREDENTIALS:
        return Login(False, outcome.code, f"the gateway refuses its credentials: {outcome.text}")
    if rule and rule.verdict is Verdict.RETRY:
        return Login(False, reason=f"the gateway cannot tell: {outcome.text}")
    return Login(True)


def is_accepted() -> bool:
    """Return whether this process may claim messages, and call the gateway."""
    return LOGIN not in READINESS.reasons


def refuse(code: str, cause: str) -> None:
    """Stop this process: its credentials were refused."""
    if READINESS.wait(LOGIN, f"the gateway refuses its credentials: {code} {cause}"):
        logs.event("login_refused", level=40, code=code, reason=cause, owner=Owner.OPERATOR)


async def follow(context: WorkerContext, held: Mapping[str, Held]) -> None:
    """Stop this process if its credentials are among the holds; if they are good, no others hold the account.

    Workers of older versions hold the account for refused credentials.
    """
    if refused := held.get(scope_of(context.settings.fingerprint)):
        refuse(refused.code, refused.cause)
        return
    account = held.get(Scope.ACCOUNT)
    if account and is_accepted() and hold.is_of_settings(account):
        await hold.lift(context.client, context.clock.now())
        logs.event("resumed", level=30, credentials="others")


async def log_in(context: WorkerContext) -> float | str:
    """Make the harmless call, and record what it shows; returns the balance, or why it is unknown."""
    balance, table = await context.gateway.balance(), tables.by_gateway()[context.gateway.name]
    login = read(reach.read(balance), table)
    if login.is_accepted:
        await _accept(context)
    elif login.code:
        await _refuse(context, login.code, table.rule_for(login.code).reason)
    elif READINESS.wait(LOGIN, login.reason):
        logs.event("waits_for_login", level=30, problem=login.reason)
    return balance


async def _accept(context: WorkerContext) -> None:
    """Resume all workers with these credentials."""
    fingerprint = context.settings.fingerprint
    async with context.client.pipeline(transaction=False) as pipe:
        pipe.hdel(keys.HOLDS, scope_of(fingerprint))
        pipe.delete(keys.login(fingerprint))  # the others may try at once
        await pipe.execute()
    if READINESS.clear(LOGIN):
        logs.event("login_accepted", account=context.settings.account)


async def _refuse(context: WorkerContext, code: str, cause: str) -> None:
    """Stop all workers with these credentials."""
    fingerprint = context.settings.fingerprint
    refuse(code, cause)
    if await hold.put_new(context.client, hold.Hold(scope_of(fingerprint), code, cause), context.clock.now()):
        metrics.ALARMS.labels(code, Owner.OPERATOR).inc()


async def _round(context: WorkerContext) -> bool:
    if is_accepted() or context.breaker.is_open:
        return False
    turn = keys.login(context.settings.fingerprint)
    if await context.client.set(turn, 1, nx=True, px=RETRY_MS):
        await log_in(context)
    return False


DUTY = Duty(name="log_in", interval_seconds=LOOK_SECONDS, work=_round, while_draining=False)
