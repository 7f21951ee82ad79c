"""Balance: one worker at a time reads it regularly; new credit lifts the hold for lack of credit.

``names(space).BALANCE`` holds the last reading: ``credits``, ``at`` (ms) or ``error``; ``left``, from which claims
subtract their estimates until the next reading; and the baseline that charges are compared with: ``since_credits``,
``since_charged`` and ``drift``, all in millionths of a credit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import redis.asyncio

from threelane.contract.prices import CREDIT
from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.store.keys import HERE, Space
from threelane.store.rates import Rate
from threelane.store.readable import row
from threelane.store.record import Field
from threelane.store.tally import Count
from threelane.worker.account import hold
from threelane.worker.gateway import tables
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.settings import WorkerSettings

PROBE_SECONDS = 10.0  # while the account is on hold for lack of credit
TRY_ANYWAY_MS = 600_000  # after this a hold is lifted even if the balance is the same as at the previous lift
MOST_LOOKED_AT = 20  # of the latest dead letters, to estimate the next message's cost
_NUMBER = re.compile(r"-?[0-9]{1,15}")
_COST = (Field.ESTIMATE, Field.CODE, Field.ACCOUNT)


def no_credit_codes() -> tuple[str, ...]:
    """Return the codes of dead letters for lack of credit, of all gateways."""
    return tuple(dict.fromkeys(rule.code for rule in tables.rules() if rule.reason in hold.NO_CREDIT))


async def take_turn(client: redis.asyncio.Redis, settings: WorkerSettings, now: int) -> bool:
    """Return whether it is this worker's turn to read the balance; more often while the account has no credit."""
    names = keys.names(settings.space)
    turn, every = (names.BALANCE_TURN, settings.balance_seconds)
    if await _hold_in_force(client, now, settings.space):
        turn, every = (names.BALANCE_PROBE, min(settings.balance_seconds, PROBE_SECONDS))
    return bool(await client.set(turn, 1, nx=True, px=int(every * 900)))


async def read(
    client: redis.asyncio.Redis,
    gateway: Gateway,
    settings: WorkerSettings,
    now: int,
    is_of_account: Callable[[float | str], Coroutine[Any, Any, bool]] | None = None,
) -> bool:
    """Read the balance; True if the account is on hold for lack of credit and has credit again.

    What ``is_of_account`` denies says nothing of the account and is not recorded: these credentials are refused.
    """
    key = keys.names(settings.space).BALANCE
    held = await _hold_in_force(client, now, settings.space)
    before = await rows.table_async(client, key)
    known = _numbers(before)
    if damaged := [name for name in before if rows.text(name) not in known]:
        await client.hdel(key, *damaged)
    balance = await gateway.balance()
    if is_of_account and not await is_of_account(balance):
        return False
    if isinstance(balance, str):
        await rows.unless_damaged_async(key, client.hset(key, mapping={"error": balance[:200]}))
        logs.event("balance_unknown", level=30, reason=balance[:200])
        return False
    millionths = round(balance * CREDIT)
    await _write(client, known, millionths, settings, now)
    if held is None:
        return False
    waited = now - held.since > TRY_ANYWAY_MS
    return is_back(millionths, await _next_costs(client, settings.space), int(known.get("lifted", -1)), waited=waited)


def is_back(credits: int, costs: int, lifted_at: int, *, waited: bool) -> bool:
    """Return whether sending can resume: the balance covers the next message, and ``waited`` or it has changed; pure.

    ``lifted_at`` is the balance at the last lift: if it is the same again, that lift did not help.
    """
    return credits > 0 and credits >= costs and (credits != lifted_at or waited)


async def lift(client: redis.asyncio.Redis, now: int, space: Space = HERE) -> bool:
    """Lift the hold for lack of credit and record the balance; returns whether there was such a hold."""
    if await _hold_in_force(client, now, space) is None:  # meanwhile put on hold by hand
        return False
    key = keys.names(space).BALANCE
    credits = (await rows.table_async(client, key)).get(b"credits")
    lifted = await hold.lift(client, now, space)
    if lifted:
        await client.hset(key, "lifted", rows.number(credits))
        logs.event("resumed", level=30, balance=rows.number(credits) / CREDIT)
    return lifted


def _numbers(before: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the last reading; without what is damaged."""
    found = {rows.text(name): rows.text(value) for name, value in before.items()}
    return {name: value for name, value in found.items() if name == "error" or _NUMBER.fullmatch(value)}


async def _hold_in_force(client: redis.asyncio.Redis, now: int, space: Space) -> hold.Held | None:
    """Return the account's hold for lack of credit, if any."""
    held = hold.decode(await hold.read(client, space), now, space).get("account")
    return held if held is not None and held.cause in hold.NO_CREDIT else None


async def _next_costs(client: redis.asyncio.Redis, space: Space) -> int:
    """Return the highest estimate among the latest refused messages and the first waiting ones."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.zrange(keys.DEAD, 0, MOST_LOOKED_AT - 1, desc=True)
        for lane in keys.LANES:
            pipe.zrange(keys.names(space).QUEUED[lane], 0, 0)
        dead, *waiting = await pipe.execute()
    refused_ids = rows.ids(dead)
    heads = rows.ids(one for ids in waiting for one in ids)
    async with client.pipeline(transaction=False) as pipe:
        for one in (*refused_ids, *heads):
            pipe.hmget(keys.record(one), _COST)
        found = [row(_COST, reply) or {} for reply in await pipe.execute(raise_on_error=False)]
    codes = no_credit_codes()
    refused = [
        one
        for one in found[: len(refused_ids)]
        if one.get(Field.CODE) in codes and one.get(Field.ACCOUNT, "") == space.account
    ]
    return max((int(one.get(Field.ESTIMATE, 0)) for one in [*refused, *found[len(refused_ids) :]]), default=0)


async def _write(
    client: redis.asyncio.Redis, before: Mapping[str, str], millionths: int, settings: WorkerSettings, now: int
) -> None:
    names = keys.names(settings.space)
    tally: Any = await client.hgetall(names.TALLY)
    charged = sum(rows.number(n) for name, n in tally.items() if name.startswith(Count.CHARGED.encode()))
    floors = {f"floor:{lane}": settings.floor(lane) for lane in keys.LANES}
    reading: dict[Any, Any] = {"credits": millionths, "at": now, **compare(before, millionths, charged), **floors}
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(names.BALANCE, mapping=reading)
        pipe.hincrby(
            names.BALANCE, Rate.LEFT, millionths - rows.number(before.get("left"))
        )  # less what was claimed meanwhile
        pipe.hdel(names.BALANCE, "error")
        if before.get("lifted") not in (None, str(millionths)):
            pipe.hdel(names.BALANCE, "lifted")
        for reply in await pipe.execute(raise_on_error=False):
            rows.known(names.BALANCE, reply, None)


def compare(before: Mapping[str, str], credits: int, charged: int) -> dict[str, int]:
    """Return the baseline, and by how much the balance fell more than the charges; pure, millionths of a credit.

    A balance that rose by more than refunds was topped up: the comparison restarts and keeps the drift found so far.
    Charges are reported later than they are made, so only a lasting drift counts.
    """
    if "since_credits" not in before:
        return {"since_credits": credits, "since_charged": charged, "drift": 0, "drift_before": 0}
    kept = int(before.get("drift_before", 0))
    drift = kept + (int(before["since_credits"]) - credits) - (charged - int(before["since_charged"]))
    topped_up = credits > int(before["credits"])
    if topped_up:
        known = int(before.get("drift", 0))
        return {"since_credits": credits, "since_charged": charged, "drift": known, "drift_before": known}
    return {"drift": drift}
