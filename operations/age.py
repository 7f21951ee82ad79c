"""Age: for each lane, how many messages wait, for which causes, and since when the oldest does.

A message waits from when it was accepted, became due or was redriven until the gateway has it, whatever is done to it
meanwhile.  Every command, gauge and page reads it here; the cost does not depend on the number of messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import redis

from threelane.operations.outage import outage
from threelane.store import keys, rows, waiting
from threelane.store.keys import HERE, Space
from threelane.store.readable import row
from threelane.store.states import Status
from threelane.store.waiting import IN_LANE, PUT_OFF, SINCE, Cause, Group
from threelane.worker.account import hold
from threelane.worker.account.hold import Held

PLAIN = (Status.QUEUED, Status.SCHEDULED, Status.SENDING)
"""The causes of the plain path: in its lane, due and not released yet, and its attempt in progress."""
NOTHING = Group(0, 0)
LEASES = 10  # of these the oldest message counts: leases are ordered by claim
CAUSES = tuple(dict.fromkeys(map(str, (*PLAIN, *Cause))))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneAge:
    """What waits in one lane; ``oldest_seconds`` is 0 and ``cause`` "" if nothing does.

    ``waiting`` is the number of messages that are due and not being sent.  ``groups`` has a group for each cause:
    ``queued`` is in its lane, ``scheduled`` due and not released yet, ``sending`` an attempt in progress; the others
    are off the plain path, see ``Cause``.  A message of a closed window waits, and is due when the window opens.
    """

    waiting: int
    oldest_seconds: float
    cause: str
    groups: Mapping[str, Group]

    @property
    def causes(self) -> dict[str, int]:
        """The number of messages that wait for each cause."""
        return {cause: group.number for cause, group in self.groups.items()}

    def in_lane_since(self) -> int:
        """Return since when the oldest message that workers could fetch has waited, ms; 0: there is none."""
        found = (self.groups[cause].since for cause in (Status.QUEUED, *IN_LANE))
        return min(filter(None, found), default=0)


def words(causes: Mapping[str, int]) -> str:
    """Return the causes that messages wait for, such as "3 queued, 1 hold"."""
    return ", ".join(f"{number:,} {cause.replace('_', ' ')}" for cause, number in causes.items() if number)


def sentence(one: LaneAge) -> str:
    """Return how many messages wait in a lane, for what, and for how long the oldest does."""
    cause = one.cause.replace("_", " ")
    return f"{one.waiting:,} wait ({words(one.causes)}), the oldest for {one.oldest_seconds:,.0f} s ({cause})"


class _Plain(NamedTuple):
    """The first of each index of the plain path, and how many they hold."""

    queued: Group
    scheduled: Group
    sending: int
    leases: list[str]  # the ids of the oldest


def read(
    client: redis.Redis, now: int, held: Mapping[str, Held] | None = None, space: Space = HERE
) -> dict[int, LaneAge]:
    """Return what waits in each lane of an account; ``held`` are the holds in force, if they are known."""
    held = hold.holds(client, now, space) if held is None else held
    names = keys.names(space)
    breaker = outage(client, held, now, space)
    with client.pipeline(transaction=False) as pipe:
        for lane in keys.LANES:
            pipe.zcard(names.QUEUED[lane])
            pipe.zrange(names.QUEUED[lane], 0, 0, withscores=True)
            pipe.zcount(names.DUE[lane], "-inf", now)
            pipe.zrange(names.DUE[lane], 0, 0, withscores=True)
            pipe.zcard(names.LEASES[lane])
            pipe.zrange(names.LEASES[lane], 0, LEASES - 1)
            for cause in Cause:
                waiting.queue(pipe, lane, cause, space)
        replies = iter(pipe.execute())
    read_lanes = {lane: (_plain(replies), {cause: waiting.take(replies) for cause in Cause}) for lane in keys.LANES}
    sending = _since(client, [plain.leases for plain, _ in read_lanes.values()])
    return {
        lane: _age(plain, groups, since, now, is_held=bool(breaker or stopping(held, lane)))
        for (lane, (plain, groups)), since in zip(read_lanes.items(), sending, strict=True)
    }


def stopping(held: Mapping[str, Held], lane: int) -> str:
    """Return the scope of a hold that stops a whole lane, the account's first, or ""."""
    return next((scope for scope in ("account", f"lane:{lane}") if scope in held), "")


def _plain(replies: Iterator[Any]) -> _Plain:
    queued, first = next(replies), next(replies)
    overdue, earliest = next(replies), next(replies)
    sending, leases = next(replies), next(replies)
    return _Plain(
        Group(queued, int(first[0][1]) if first else 0),
        Group(overdue, int(earliest[0][1]) if overdue else 0),
        sending,
        rows.ids(leases),
    )


def _since(client: redis.Redis, lots: Sequence[Sequence[str]]) -> list[int]:
    """Return since when the oldest message of each lot waits, by their records; 0 for none."""
    with client.pipeline(transaction=False) as pipe:
        for one in chain.from_iterable(lots):
            pipe.hmget(keys.record(one), SINCE)
        records = [row(SINCE, reply) or {} for reply in pipe.execute(raise_on_error=False)]
    found = (max(int(one.get(name, 0)) for name in SINCE) for one in records)
    return [min((next(found) for _ in lot), default=0) for lot in lots]


def _age(plain: _Plain, groups: Mapping[Cause, Group], sending_since: int, now: int, *, is_held: bool) -> LaneAge:
    in_lane = sum(groups[cause].number for cause in IN_LANE)
    put_off = sum(groups[cause].number for cause in PUT_OFF)
    queued = Group(max(0, plain.queued.number - in_lane), plain.queued.since)
    found = {
        str(Status.QUEUED): queued,
        str(Status.SCHEDULED): Group(max(0, plain.scheduled.number - put_off), plain.scheduled.since),
        str(Status.SENDING): Group(plain.sending, sending_since),
        **{str(cause): group for cause, group in groups.items()},
    }
    if is_held:
        found |= {str(Status.QUEUED): NOTHING, str(Cause.HOLD): _both(queued, groups[Cause.HOLD])}
    since, oldest = min(((one.since, cause) for cause, one in found.items() if 0 < one.since <= now), default=(now, ""))
    due = max(plain.scheduled.number, put_off)  # what is put off may be due again
    return LaneAge(
        waiting=plain.queued.number + due + groups[Cause.IN_DOUBT].number,
        oldest_seconds=(now - since) / 1000,
        cause=oldest,
        groups=found,
    )


def _both(one: Group, other: Group) -> Group:
    return Group(one.number + other.number, min(filter(None, (one.since, other.since)), default=0))
