"""Balance: one worker of all reads it, now and then; credit that is there again ends the hold for want of it.

``keys.BALANCE`` holds what the gateway said last: ``credits``, ``at`` (ms) or ``error``; ``left``, which claims count
down by their estimates until the next reading; and since when charges are compared with it: ``since_credits``,
``since_charged`` and ``drift``, all in millionths of a credit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis.asyncio

from threelane.contract.prices import CREDIT
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.rates import Rate
from threelane.store.record import Field
from threelane.store.tally import Count
from threelane.worker.account import hold
from threelane.worker.gateway import tables
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.settings import WorkerSettings

PROBE_SECONDS = 10.0  # while the account is on hold for want of credit
TRY_ANYWAY_MS = 600_000  # after this a hold is lifted though the balance is as it was when it was lifted before
MOST_LOOKED_AT = 20  # of the latest dead letters, for what the next message will cost


def no_credit_codes() -> tuple[str, ...]:
    """Return the codes of what is dead for want of credit, of all gateways."""
    return tuple(dict.fromkeys(rule.code for rule in tables.rules() if rule.reason in hold.NO_CREDIT))


async def take_turn(client: redis.asyncio.Redis, settings: WorkerSettings, now: int) -> bool:
    """Tell whether it is this worker's turn to read the balance; more often while the account has no credit."""
    turn, every = (keys.BALANCE_TURN, settings.balance_seconds)
    if await _wanting(client, now):
        turn, every = (keys.BALANCE_PROBE, min(settings.balance_seconds, PROBE_SECONDS))
    return bool(await client.set(turn, 1, nx=True, px=int(every * 900)))


async def read(client: redis.asyncio.Redis, gateway: Gateway, settings: WorkerSettings, now: int) -> bool:
    """Read the balance; True when the account is on hold for want of credit and credit is there again."""
    held = await _wanting(client, now)
    before: Any = await client.hgetall(keys.BALANCE)
    balance = await gateway.balance()
    if isinstance(balance, str):
        await client.hset(keys.BALANCE, mapping={"error": balance[:200]})
        logs.event("balance_unknown", level=30, reason=balance[:200])
        return False
    known = {name.decode(): value.decode() for name, value in before.items()}
    millionths = round(balance * CREDIT)
    await _write(client, known, millionths, settings, now)
    if held is None:
        return False
    waited = now - held.since > TRY_ANYWAY_MS
    return is_back(millionths, await _next_costs(client), int(known.get("lifted", -1)), waited=waited)


def is_back(credits: int, costs: int, lifted_at: int, *, waited: bool) -> bool:
    """Tell whether it is worth going on: the next message can be paid, and nothing shows that it cannot; pure.

    ``lifted_at`` is the balance when a hold was lifted last: if it is the same again, that was in vain.
    """
    return credits > 0 and credits >= costs and (credits != lifted_at or waited)


async def lift(client: redis.asyncio.Redis, now: int) -> bool:
    """Lift the hold for want of credit; remembers at which balance, and tells whether there was one."""
    if await _wanting(client, now) is None:  # somebody put it on hold by hand meanwhile
        return False
    credits: Any = await client.hget(keys.BALANCE, "credits")
    lifted = await hold.lift(client, now)
    if lifted:
        await client.hset(keys.BALANCE, "lifted", credits)
        logs.event("resumed", level=30, balance=int(credits) / CREDIT)
    return lifted


async def _wanting(client: redis.asyncio.Redis, now: int) -> hold.Held | None:
    """Return the hold of the account for want of credit, if there is one."""
    entries: Any = await client.hgetall(keys.HOLDS)
    held = hold.decode(entries, now).get("account")
    return held if held is not None and held.cause in hold.NO_CREDIT else None


async def _next_costs(client: redis.asyncio.Redis) -> int:
    """Return the estimate of the dearest of the messages that were refused last, and of those that wait first."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.zrange(keys.DEAD, 0, MOST_LOOKED_AT - 1, desc=True)
        for lane in keys.LANES:
            pipe.zrange(keys.QUEUED[lane], 0, 0)
        dead, *waiting = await pipe.execute()
    heads = [one for ids in waiting for one in ids]
    async with client.pipeline(transaction=False) as pipe:
        for one in [*dead, *heads]:
            pipe.hmget(keys.record(one.decode()), [Field.ESTIMATE, Field.CODE])
        found = await pipe.execute()
    codes = {code.encode() for code in no_credit_codes()}
    refused = [estimate for estimate, code in found[: len(dead)] if code in codes]
    return max((int(one or 0) for one in [*refused, *(estimate for estimate, _ in found[len(dead) :])]), default=0)


async def _write(
    client: redis.asyncio.Redis, before: Mapping[str, str], millionths: int, settings: WorkerSettings, now: int
) -> None:
    tally: Any = await client.hgetall(keys.TALLY)
    charged = sum(int(n) for name, n in tally.items() if name.startswith(Count.CHARGED.encode()))
    floors = {f"floor:{lane}": settings.floor(lane) for lane in keys.LANES}
    said: dict[Any, Any] = {"credits": millionths, "at": now, **compare(before, millionths, charged), **floors}
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(keys.BALANCE, mapping=said)
        pipe.hincrby(
            keys.BALANCE, Rate.LEFT, millionths - int(before.get("left", 0))
        )  # less what was claimed meanwhile
        pipe.hdel(keys.BALANCE, "error")
        if before.get("lifted") not in (None, str(millionths)):
            pipe.hdel(keys.BALANCE, "lifted")
        await pipe.execute()


def compare(before: Mapping[str, str], credits: int, charged: int) -> dict[str, int]:
    """Return since when, and by how much, the balance fell more than charges tell; pure, millionths of a credit.

    A balance that rose more than charges given back was topped up: the comparison begins anew, keeping what it had
    found.  Charges are told later than they are made, so a drift that stays counts, and not one that comes and goes.
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
