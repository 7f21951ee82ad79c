"""Accounts: what each account is doing, what waits in it, and what it has still to finish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from threelane.contract.accounts.account import shown
from threelane.store import accounts, keys, rows
from threelane.store.accounts import Published
from threelane.store.diverted import Why
from threelane.store.keys import LANES, Space
from threelane.store.rates import Rate
from threelane.store.spaces import spaces
from threelane.store.states import Status
from threelane.worker.account import hold
from threelane.worker.account.hold import Held
from threelane.worker.policy.rule import Scope
from threelane.worker.process.identity import SILENT_MS
from threelane.worker.standby.ability import ABSENT_MS, REPORTED, Reporting, by_account, why_unable

_UNFINISHED = (Status.SCHEDULED, Status.PAUSED, Status.SENDING, Status.IN_DOUBT)


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account; times in milliseconds, 0: unknown or not at all; ``balance`` is None if it was never read.

    ``state`` is "sending", or why nothing is sent; ``scheduled`` counts what waits for a time, paused messages too,
    ``at_gateway`` what was sent and has no final receipt.
    """

    name: str
    gateway: str
    state: str
    since: int = 0
    drained_since: int = 0
    drained_by: str = ""
    workers: int = 0
    waiting: Mapping[int, int] = {}
    scheduled: int = 0
    in_doubt: int = 0
    at_gateway: int = 0
    balance: float | None = None

    @property
    def unfinished(self) -> int:
        """Messages that are not sent yet, or may not be."""
        return sum(self.waiting.values()) + self.scheduled + self.in_doubt


def read(client: redis.Redis, now: int) -> list[AccountRow]:
    """Return a row for each account that may have messages, the default one first."""
    published, reports = accounts.read(client), _reports(client, now)
    every = [_row(client, one, published, reports.get(one.account, []), now) for one in spaces(client)]
    is_used = {*published.routing.accounts} or {shown("")}
    return [one for one in every if one.name in is_used or one.unfinished or one.at_gateway or one.workers]


def _row(client: redis.Redis, space: Space, published: Published, workers: list[Reporting], now: int) -> AccountRow:
    name = shown(space.account)
    known, drained = published.routing.accounts.get(name), published.drained.get(name)
    sizes, balance, absent = _sizes(client, space, name)
    state, since = _state(hold.holds(client, now, space), workers, now, absent)
    return AccountRow(
        name=name,
        gateway=known.gateway if known else "",
        state=state,
        since=since,
        drained_since=drained.since if drained else 0,
        drained_by=drained.by if drained else "",
        workers=len(workers),
        waiting={lane: sizes[Status.QUEUED, lane] + sizes[Status.SENDING, lane] for lane in LANES},
        scheduled=sum(sizes[Status.SCHEDULED, lane] for lane in LANES) + sizes[Status.PAUSED, LANES[0]],
        in_doubt=sum(sizes[Status.IN_DOUBT, lane] for lane in LANES),
        at_gateway=sum(sizes[Status.SENT, lane] for lane in LANES),
        balance=balance,
    )


def _state(held: Mapping[str, Held], workers: list[Reporting], now: int, absent: int) -> tuple[str, int]:
    """Return why an account sends nothing and since when, or that it sends."""
    if account := held.get(Scope.ACCOUNT):
        return f"on hold: {account.code} {account.cause}", account.since
    why = why_unable(held, workers, ABSENT_MS, now)
    if why is Why.NO_WORKER:
        return "no worker", absent
    if why is Why.REFUSED_LOGIN:
        return "login refused", min((one.since for scope, one in held.items() if scope.startswith("cred")), default=0)
    if why is Why.UNREACHABLE:
        return "unreachable", min(
            (one.since for scope, one in held.items() if scope.startswith("gate")), default=absent
        )
    return "sending", 0


def _sizes(client: redis.Redis, space: Space, name: str) -> tuple[dict[tuple[Status, int], int], float | None, int]:
    """Return the number of messages by state and lane, the balance, and since when it has no worker that is ready."""
    wanted = [(status, lane) for status in (Status.QUEUED, *_UNFINISHED, Status.SENT) for lane in LANES]
    with client.pipeline(transaction=False) as pipe:
        for status, lane in wanted:
            pipe.zcard(keys.index_of(status, lane, space) or "")
        pipe.hget(keys.names(space).BALANCE, Rate.LEFT)
        pipe.hget(keys.ABSENT, name)
        *counts, left, absent = pipe.execute(raise_on_error=False)
    numbers = [rows.known(str(keys.index_of(*one, space)), n, 0) for one, n in zip(wanted, counts, strict=True)]
    known: Any = rows.known(keys.names(space).BALANCE, left, None)
    balance = None if known is None else rows.number(known) / 1_000_000
    return dict(zip(wanted, numbers, strict=True)), balance, rows.number(rows.known(keys.ABSENT, absent, None))


def _reports(client: redis.Redis, now: int) -> dict[str, list[Reporting]]:
    names = rows.workers(client, now - SILENT_MS)
    return by_account(dict(zip(names, rows.reports(client, names, REPORTED), strict=True)))
