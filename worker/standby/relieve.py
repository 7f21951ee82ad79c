"""Relieve: a worker of the account that stands by looks at what waits in accounts that cannot send, and takes it over.

The worker of the stand-by does it, and not one of the account in trouble, which may have none.  It can send at that
moment, and it takes no more than it can send soon: what is left over goes out through its own account if that recovers.
A message moves once.  If the stand-by cannot send it either, it waits there: a way back and forth could send it twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import redis.asyncio

from threelane.contract import prices
from threelane.contract.accounts.account import shown
from threelane.contract.prices import Prices
from threelane.store import accounts, keys, rows, waiting
from threelane.store.diverted import Why
from threelane.store.keys import LANES, Space
from threelane.store.rates import Rate
from threelane.store.spaces import spaces_async
from threelane.store.states import Status
from threelane.store.waiting import Cause
from threelane.worker.account import hold
from threelane.worker.account.hold import Held
from threelane.worker.fetch import lanes
from threelane.worker.fetch.release import BATCH, release
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty
from threelane.worker.process.identity import SILENT_MS
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.standby.ability import REPORTED, Reporting, by_account, is_absent, serving, stops, why_unable
from threelane.worker.standby.take_over import Terms, take_over

ROUND_SECONDS = 0.5
TURN_MS = 450
READ_EVERY_MS = 2_000  # reports of workers; they change every five seconds
ROOM_SECONDS = 10  # of the rate: no more waits in the lane of the stand-by
MOST = 1_000  # messages of a lane in one round
UNKNOWN = 2**62  # millionths of a credit
PAGE, PAGES = 250, 8  # ids of a lane that one round looks at


class _Unable(NamedTuple):
    """An account that cannot send some lanes, why by lane, and the holds that persons set in it."""

    space: Space
    why: Mapping[int, Why]
    stops: Mapping[str, Held]


class Relief:
    """What a process remembers from round to round: the reports of workers, and how far it has looked."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._absent_since: dict[str, int] = {}  # accounts and lanes without a worker that is ready
        self._reports: dict[str, list[Reporting]] = {}
        self._read_at = -READ_EVERY_MS
        self._places: dict[tuple[Space, int, bool], int] = {}  # that follow those which do not move

    async def relieve(
        self, client: redis.asyncio.Redis, settings: WorkerSettings, open_lanes: Sequence[int], now: int
    ) -> dict[int, list[str]]:
        """Take over what this account may; returns by lane the ids to be nudged.

        ``open_lanes`` are those from which this worker may claim now.
        """
        own = settings.space
        others = [one for one in await spaces_async(client) if one != own]
        if not others or not open_lanes:
            return {}
        open_lanes = await _take_turns(client, own, open_lanes)
        if not open_lanes:
            return {}
        published = await accounts.read_async(client)
        if published.is_damaged or shown(own.account) in published.drained:
            return {}
        await self._read_reports(client, others, now)
        others = await _with_messages(client, others, now)
        unable = [one for space in others if (one := await self._unable(client, space, now))]
        if not unable:
            return {}
        terms = Terms(await _prices(client, settings), stops(hold.decode(await hold.read(client, own), now, own)))
        taken: dict[int, list[str]] = {}
        left = await _credits_left(client, own)
        for lane in open_lanes:
            if 0 < settings.floor(lane) >= left:
                continue  # the rest is reserved for higher lanes
            room = await _room(client, settings, lane)
            for one in unable:
                if lane not in one.why or f"lane:{lane}" in one.stops:
                    continue
                if one.why[lane] is Why.NO_WORKER:
                    await _release(client, one.space, lane, room, now)
                found = await self._take(client, one, own, lane, room, terms, now)
                taken.setdefault(lane, []).extend(found)
                room -= len(found)
        return {lane: ids for lane, ids in taken.items() if ids}

    async def _read_reports(self, client: redis.asyncio.Redis, others: Sequence[Space], now: int) -> None:
        if abs(now - self._read_at) < READ_EVERY_MS:
            return
        self._reports, self._read_at = await _reports(client, now), now
        known = await rows.table_async(client, keys.ABSENT)
        since = {rows.text(account): rows.number(at) for account, at in known.items()}
        names: dict[str, bool] = {}
        for one in others:
            workers = self._reports.get(one.account, ())
            names[shown(one.account)] = is_absent(workers)
            names |= {_of_lane(one, lane): is_absent(serving(workers, lane)) for lane in LANES}
        self._absent_since = {name: since.get(name, now) for name, is_gone in names.items() if is_gone}
        new: dict[Any, Any] = {name: at for name, at in self._absent_since.items() if name not in since}
        if new:
            await rows.unless_damaged_async(keys.ABSENT, client.hset(keys.ABSENT, mapping=new))
        if back := [name for name, is_gone in names.items() if name in since and not is_gone]:
            await client.hdel(keys.ABSENT, *back)

    async def _unable(self, client: redis.asyncio.Redis, space: Space, now: int) -> _Unable | None:
        held = hold.decode(await hold.read(client, space), now, space)
        workers, why = self._reports.get(space.account, ()), dict[int, Why]()
        for lane in LANES:
            names = shown(space.account), _of_lane(space, lane)
            absent_ms = now - min(self._absent_since.get(name, now) for name in names)
            if found := why_unable(held, serving(workers, lane), absent_ms, now):
                why[lane] = found
        return _Unable(space, why, stops(held)) if why else None

    async def _take(
        self,
        client: redis.asyncio.Redis,
        unable: _Unable,
        own: Space,
        lane: int,
        room: int,
        terms: Terms,
        now: int,
    ) -> list[str]:
        """Take over up to ``room`` messages of a lane: those that wait for a worker, then those that are retried."""
        taken: list[str] = []
        former, terms = unable.space, terms.with_stops(unable.stops)
        for retries in (False, True):
            place = self._places.get((former, lane, retries), 0)
            for _ in range(PAGES):
                most = min(PAGE, room - len(taken))
                if most <= 0:
                    break
                ids = await _page(client, former, lane, place, most, retries=retries)
                found = await take_over(client, former, own, lane, ids, unable.why[lane], terms, now) if ids else []
                taken += found
                place += len(ids) - len(found)
                if len(ids) < most:
                    place = 0  # from the start in the next round: others may move by then
                    break
            self._places[former, lane, retries] = place
        return taken


def _of_lane(space: Space, lane: int) -> str:
    """Return the name of an account's lane among those without a worker; earlier versions know accounts only."""
    return f"{shown(space.account)}:{lane}"


async def _take_turns(client: redis.asyncio.Redis, own: Space, lanes: Sequence[int]) -> list[int]:
    """Return the lanes that it is this worker's turn to relieve; workers of an account may serve different ones."""
    async with client.pipeline(transaction=False) as pipe:
        for lane in lanes:
            pipe.set(keys.names(own).STAND_BY_TURN[lane], 1, nx=True, px=TURN_MS)
        turns = await pipe.execute()
    return [lane for lane, is_ours in zip(lanes, turns, strict=True) if is_ours]


async def _reports(client: redis.asyncio.Redis, now: int) -> dict[str, list[Reporting]]:
    """Return the reports of the workers that live, by account as keys have it."""
    found: Any = await rows.unless_damaged_async(
        keys.WORKERS, client.zrange(keys.WORKERS, now - SILENT_MS, "+inf", byscore=True)
    )
    workers = [rows.text(name) for name in found or ()]
    async with client.pipeline(transaction=False) as pipe:
        for name in workers:
            pipe.hmget(keys.worker(name), REPORTED)
        replies = await pipe.execute(raise_on_error=False)
    known = {name: rows.known(keys.worker(name), one, None) for name, one in zip(workers, replies, strict=True)}
    return by_account({name: values for name, values in known.items() if values})


async def _with_messages(client: redis.asyncio.Redis, spaces: Sequence[Space], now: int) -> list[Space]:
    """Return the accounts in which messages wait for a worker or for a retry, or are due.

    One that has a key of another type is left out, and stops no other.
    """
    async with client.pipeline(transaction=False) as pipe:
        counted = {space: _count(pipe, space, now) for space in spaces}
        replies = iter(await pipe.execute(raise_on_error=False))
    counts = {space: [rows.known(key, next(replies), None) for key in of] for space, of in counted.items()}
    return [space for space, found in counts.items() if None not in found and any(found)]


def _count(pipe: Any, space: Space, now: int) -> list[str]:
    """Queue commands that count what waits in an account, on each key that a take-over changes; returns these keys."""
    names = keys.names(space)
    counted = [names.TALLY, names.FORMER[Status.SCHEDULED]]
    pipe.hexists(names.TALLY, "")
    pipe.zcount(names.FORMER[Status.SCHEDULED], "-inf", now)
    for lane in LANES:
        pipe.zcard(names.QUEUED[lane])
        pipe.zlexcount(names.WAITING, *waiting.bounds(lane, Cause.RETRY))
        pipe.zcount(names.DUE[lane], "-inf", now)
        counted += [names.QUEUED[lane], names.WAITING, names.DUE[lane]]
    return counted


async def _release(client: redis.asyncio.Redis, space: Space, lane: int, room: int, now: int) -> None:
    """Put what is due on its lane, up to ``room`` messages: an account without a worker leaves it in the due set."""
    for _ in range(0, room, BATCH):
        if not await release(client, lane, now, space):
            break


async def _page(
    client: redis.asyncio.Redis, space: Space, lane: int, place: int, most: int, *, retries: bool
) -> list[str]:
    names = keys.names(space)
    if not retries:
        return rows.ids(await client.zrange(names.QUEUED[lane], place, place + most - 1))
    first, after = waiting.bounds(lane, Cause.RETRY)
    found: Any = await client.zrange(names.WAITING, first, after, bylex=True, offset=place, num=most)
    return [one.rpartition(":")[2] for one in rows.ids(found)]


async def _room(client: redis.asyncio.Redis, settings: WorkerSettings, lane: int) -> int:
    """Return how many messages more the own lane may have: it sends them soon."""
    waits: Any = await client.zcard(keys.names(settings.space).QUEUED[lane])
    return min(MOST, max(1, int(settings.parts_per_second * ROOM_SECONDS)) - int(waits))


async def _credits_left(client: redis.asyncio.Redis, own: Space) -> int:
    """Return what claims know of the own balance, in millionths; enough for all if it is unknown."""
    key = keys.names(own).BALANCE
    known: Any = await rows.unless_damaged_async(key, client.hget(key, Rate.LEFT))
    return rows.number(known, UNKNOWN) if known else UNKNOWN


async def _prices(client: redis.asyncio.Redis, settings: WorkerSettings) -> Prices:
    learned: Mapping[bytes, bytes] = await rows.table_async(client, keys.names(settings.space).PRICES)
    return prices.parse(settings.prices).with_learned(learned)


RELIEF = Relief()


async def _round(context: WorkerContext) -> bool:
    if not context.may_call:
        return False
    served = lanes.LANES.serves
    open_lanes = [lane for lane in LANES if lane in served and not lanes.LANES.is_held(lane)]
    taken = await RELIEF.relieve(context.client, context.settings, open_lanes, context.clock.now())
    await context.nudge(taken)
    return False


DUTY = Duty(
    name="stand_by",
    interval_seconds=ROUND_SECONDS,
    work=_round,
    while_draining=False,
    on_lane_1=True,  # a code that waits in another account does not wait for a newsletter of this one
)
