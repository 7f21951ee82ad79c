"""Sample: measures how soon look-ups find accepted messages, on one message at a time in the whole fleet.

The sample is the latest message that the gateway accepted.  It is looked up by our id, at growing intervals, until it
is found.  While nothing is in doubt there is a sample a minute; while something is, one a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio

from threelane.contract.refusal import Owner
from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import HERE, Space
from threelane.store.scripts import number, script
from threelane.store.tally import Count
from threelane.store.visibility import LEARNED, OF_SAMPLE, READ, Sight, Visibility
from threelane.worker.gateway.context import LastAccepted, WorkerContext
from threelane.worker.gateway.outcome import Known, LookUp
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.process.duty import Duty
from threelane.worker.receipt.look_up import look_up_many

EVERY_MS = 60_000  # a sample, while nothing is in doubt
IN_DOUBT_MS = 1_000  # a sample, while something is
FRESH_MS = 2_000  # an older message was visible for an unknown time when it is found at once
HALF_LIFE_MS = 10 * 60_000  # of the largest delay
SOONEST_MS, LATEST_MS = 250, 30_000  # between two look-ups of the sample
ROUND_SECONDS = 1.0


@script(__file__, number, [Sight])
def _sample(*, sample: str, next: str, values: Sequence[str | int], drops: Sequence[str]) -> None:
    """Change what is known of visibility; returns 0 if another worker changed the sample since it was read."""


async def sample(
    client: redis.asyncio.Redis,
    gateway: Gateway,
    latest: LastAccepted | None,
    longest_ms: int,
    opened_at: int,
    now: int,
    space: Space = HERE,
) -> Visibility:
    """Choose a sample, or look it up if it is due; returns what is known then.

    ``latest``: the latest message that this process sent.  ``longest_ms``: the configured grace, after which a sample
    that no look-up found shows that look-ups cannot be relied on.
    """
    seen, in_doubt = await _read(client, space)
    if any(0 < at <= opened_at for at in (seen.learned_at, seen.sample_answered)):
        await _change(client, space, seen, drops=(*LEARNED, *OF_SAMPLE))
        return Visibility()
    if seen.sample and seen.sample_unseen and now - seen.sample_answered > longest_ms:
        await _give_up(client, space, seen)
        return Visibility()
    if not seen.sample and latest and is_chosen(latest, seen, in_doubt=in_doubt, now=now):
        chosen: dict[Sight, str | int] = {
            Sight.SAMPLE: latest.id,
            Sight.BEGAN: latest.began_at,
            Sight.ANSWERED: latest.answered_at,
            Sight.NEXT: now,
            Sight.CHOSEN: now,
        }
        await _change(client, space, seen, chosen)
        seen, _ = await _read(client, space)
    if seen.sample and seen.sample_next <= now and await _change(client, space, seen, {Sight.NEXT: now + LATEST_MS}):
        (answer,) = await look_up_many(gateway, [seen.sample])
        taken = seen._replace(sample_next=now + LATEST_MS)
        found = answer.known is Known.FOUND
        await _change(client, space, taken, measured(seen, answer, now), OF_SAMPLE if found else ())
        seen, _ = await _read(client, space)
    return seen


def is_chosen(latest: LastAccepted, seen: Visibility, *, in_doubt: bool, now: int) -> bool:
    """Return whether the latest accepted message becomes the sample now; pure.

    While nothing is in doubt it must have been accepted just now, since an older one measures nothing.
    """
    if latest.began_at <= seen.witness_began:
        return False
    if in_doubt:
        return now - seen.chosen_at >= IN_DOUBT_MS
    return now - seen.chosen_at >= EVERY_MS and now - latest.answered_at <= FRESH_MS


def measured(seen: Visibility, answer: LookUp, now: int) -> Mapping[Sight, int]:
    """Return what a look-up of the sample, requested ``now``, changes; pure.

    The delay until it was found is at most the time until this look-up.  The largest delay halves every ten minutes.
    """
    age = now - seen.sample_answered
    if answer.known is not Known.FOUND:
        wait = min(LATEST_MS, max(SOONEST_MS, age // 4))
        missed = {Sight.UNSEEN: now} if answer.known is Known.NOT_FOUND else {}
        return {Sight.NEXT: now + wait, **missed}
    kept = seen.delay_ms * 0.5 ** (max(0, now - seen.learned_at) / HALF_LIFE_MS)
    measures = seen.sample_unseen > 0 or age <= FRESH_MS
    delay = max(int(kept), age, 1) if measures else int(kept)
    return {
        Sight.DELAY: delay,
        Sight.LEARNED: now,
        Sight.WITNESS: max(seen.witness_began, seen.sample_began),
    }


async def _read(client: redis.asyncio.Redis, space: Space) -> tuple[Visibility, bool]:
    """Return what is known, and whether anything is in doubt."""
    names = keys.names(space)
    async with client.pipeline(transaction=False) as pipe:
        pipe.hmget(names.VISIBILITY, READ)
        for lane in keys.LANES:
            pipe.zcard(names.DOUBT[lane])
        found, *doubts = await pipe.execute()
    return Visibility.read(found), any(doubts)


async def _change(
    client: redis.asyncio.Redis,
    space: Space,
    seen: Visibility,
    values: Mapping[Sight, str | int] | Mapping[Sight, int] | None = None,
    drops: Sequence[Sight] = (),
) -> bool:
    pairs = [word for pair in (values or {}).items() for word in pair]
    next_at = str(seen.sample_next) if seen.sample_next else ""
    return bool(
        await _sample.within(space).run(client, sample=seen.sample, next=next_at, values=pairs, drops=list(drops))
    )


async def _give_up(client: redis.asyncio.Redis, space: Space, seen: Visibility) -> None:
    """Forget what was learned: no look-up found an accepted message within the whole grace."""
    if await _change(client, space, seen, drops=(*LEARNED, *OF_SAMPLE)):
        await client.hincrby(keys.names(space).TALLY, Count.HIDDEN, 1)
        logs.event("never_visible", level=40, id=seen.sample, owner=Owner.GATEWAY)


def _latest(context: WorkerContext) -> LastAccepted | None:
    """Return the latest message that this process sent."""
    both: Any = [one for one in (context.lane_1.last_accepted, context.rest.last_accepted) if one]
    return max(both, key=lambda one: one.began_at, default=None)


async def _round(context: WorkerContext) -> bool:
    if not context.gateway.can_look_up or not context.may_call:
        return False
    longest_ms = int(sum(context.settings.doubt_delays_seconds) * 1000)
    now = context.clock.now()
    latest, opened_at = _latest(context), context.breaker.opened_at
    seen = await sample(context.client, context.gateway, latest, longest_ms, opened_at, now, context.settings.space)
    wait = (seen.sample_next - now) / 1000 if seen.sample else ROUND_SECONDS
    context.sample_seconds = min(ROUND_SECONDS, max(SOONEST_MS / 1000, wait))
    return False


def _seconds(context: WorkerContext) -> float:
    return context.sample_seconds


DUTY = Duty(name="sample", interval_seconds=_seconds, work=_round, while_draining=False)
