"""Redrive: puts dead letters back on their lanes, once each, after their owner fixed the cause."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import chain, islice
from typing import Any

import msgspec
import redis

from threelane.contract.prices import country
from threelane.producer.files.countries import Countries, CountryCost
from threelane.producer.nudge import NUDGE_SIZE, Nudger
from threelane.store import budgets, find, keys, rows
from threelane.store.find import Filter, FoundMessage
from threelane.store.keys import RecordKey, Space
from threelane.store.readable import row
from threelane.store.record import Field
from threelane.store.scripts import script, texts
from threelane.store.spaces import Placed, in_its_space
from threelane.store.states import FINAL, Status

BATCH = NUDGE_SIZE
LOOKED_AT = 10_000  # of the latest dead letters, to group them by cause


class LeftDead(StrEnum):
    """Why a dead letter stays one."""

    EXPIRED = "expired"
    OVER = "over"
    ERASED = "erased"
    DAMAGED = "damaged"


@script(__file__, texts, [LeftDead])
def _redrive(*, records: Sequence[RecordKey], now: int, today: str, ids: Sequence[str]) -> None:
    """Put dead letters back; returns the lane of each, or why it stays dead, or "" if it is not a dead letter."""


class RedriveOutcome(StrEnum):
    """The result of redriving one message."""

    REDRIVEN = "redriven"
    EXPIRED = "expired"  # its validity is over; it stays dead
    OVER_BUDGET = "over_budget"  # its budgets have no room for it; it stays dead
    ERASED = "erased"  # its number and text are gone; it stays dead
    DAMAGED = "damaged"  # its record was damaged, and its content is lost; it stays dead
    IN_DOUBT = "in_doubt"  # it may have been sent: a look-up comes first
    ENDED = "ended"  # delivered, cancelled, or in another final state
    UNDER_WAY = "under_way"  # it waits, is being sent, or the gateway has it
    UNKNOWN = "unknown"  # no record: a wrong id, or expired


class Redriven(msgspec.Struct, frozen=True):
    """The result for one message; ``status`` is its state afterwards."""

    id: str
    answer: RedriveOutcome
    status: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a redrive would do: how many messages, their parts and likely cost, and how many cannot be redriven.

    ``expired`` messages are past their validity; those ``erased`` have lost their number and text.

    ``over_budget`` is not predicted: it depends on other spending until then.
    """

    messages: int = 0
    parts: int = 0
    estimate_millionths: int = 0
    expired: int = 0
    erased: int = 0
    by_code: dict[str, int] = {}
    by_lane: dict[int, int] = {}
    by_country: dict[str, CountryCost] = {}


class DeadGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The dead letters of one owner and code: how many, and the parts and likely cost of those that can be redriven.

    ``lost`` messages are past their validity, or erased.
    """

    owner: str
    code: str
    reason: str = ""
    messages: int = 0
    lost: int = 0
    parts: int = 0
    estimate_millionths: int = 0


def dead_groups(client: redis.Redis, now: int, most: int = LOOKED_AT) -> list[DeadGroup]:
    """Return the latest ``most`` dead letters by owner and code, the largest group first."""
    found: Any = client.zrange(keys.DEAD, 0, most - 1, desc=True)
    kinds: dict[tuple[str, str], list[FoundMessage]] = defaultdict(list)
    for lot in find.matching(client, rows.ids(found), Filter(status=Status.DEAD)):
        for one in lot:
            kinds[one.owner, one.code].append(one)
    groups = [_group(owner, code, every, now) for (owner, code), every in kinds.items()]
    return sorted(groups, key=lambda group: (-group.messages, group.owner, group.code))


def plan(client: redis.Redis, wanted: Filter, now: int, after: int = 0, before: int | None = None) -> Plan:
    """Return what a redrive of these dead letters would do; changes nothing."""
    good, expired, erased, countries = [], 0, 0, Countries()
    for one in find.dead(client, wanted, after, before):
        if not one.to:
            erased += 1
        elif one.expires_at <= now:
            expired += 1
        else:
            good.append((one.parts, one.estimate_millionths, one.code, one.lane))
            countries.add(country(one.to), one.parts, one.estimate_millionths)
    parts, estimates, codes, lanes = zip(*good, strict=True) if good else ((), (), (), ())
    return Plan(
        messages=len(good),
        parts=sum(parts),
        estimate_millionths=sum(estimates),
        expired=expired,
        erased=erased,
        by_code=dict(Counter(codes)),
        by_lane=dict(Counter(lanes)),
        by_country=countries.by_cost(),
    )


def redrive(client: redis.Redis, nudger: Nudger, wanted: Filter, now: int, only: Space | None = None) -> Counter[str]:
    """Redrive all dead letters that match, lane 1 first, oldest first; returns the number of each result.

    ``only``: those of one account.
    """
    total: Counter[str] = Counter(redriven=0, expired=0)
    for lot in redrive_paced(client, nudger, wanted, lambda: now, only=only):
        total.update(lot)
    return total


def redrive_paced(
    client: redis.Redis,
    nudger: Nudger,
    wanted: Filter,
    now: Callable[[], int],
    *,
    after: int = 0,
    before: int | None = None,
    a_second: float = 0,
    sleep: Callable[[float], None] = time.sleep,
    only: Space | None = None,
) -> Iterator[Counter[str]]:
    """Redrive the dead letters that match, lane 1 first, batch by batch, ``a_second`` a second (0: without a limit).

    Yields the number of each result in a batch; a caller that stops iterating stops the redrive.  Concurrent redrives
    put each dead letter back once.  Messages in doubt or in a final state are not dead letters and do not change.
    """
    died: Any = client.zrange(keys.DEAD, after, "+inf" if before is None else before, byscore=True)  # before any moves
    lanes: dict[int, list[str]] = {lane: [] for lane in keys.LANES}
    for found in find.matching(client, rows.ids(died), wanted):
        for one in found:
            lanes[one.lane].append(one.id)
    ids = chain.from_iterable(lanes.values())
    size = BATCH if not a_second else max(1, min(BATCH, int(a_second)))
    while lot := list(islice(ids, size)):
        answers = _put_back(client, nudger, lot, now(), only)
        results = Counter(str(answer) for answer in answers if answer)  # the others are no longer dead letters
        yield results
        if a_second:
            sleep(results[RedriveOutcome.REDRIVEN] / a_second)


def redrive_ids(client: redis.Redis, nudger: Nudger, ids: Sequence[str], now: int) -> list[Redriven]:
    """Redrive these messages; returns each result in order."""
    answers: list[Redriven] = []
    for start in range(0, len(ids), BATCH):
        lot = ids[start : start + BATCH]
        replies = _put_back(client, nudger, lot, now)
        with client.pipeline(transaction=False) as pipe:
            for one in lot:
                pipe.hmget(keys.record(one), Field.STATUS)
            rows = [row((Field.STATUS,), reply) or {} for reply in pipe.execute(raise_on_error=False)]
        states = [one.get(Field.STATUS, "") for one in rows]
        results = zip(lot, replies, states, strict=True)
        answers += [Redriven(one, reply or _refused(status), status) for one, reply, status in results]
    return answers


def _put_back(
    client: redis.Redis, nudger: Nudger, ids: Sequence[str], now: int, only: Space | None = None
) -> list[RedriveOutcome | None]:
    """Run the script for up to 99 ids, and publish nudges; None for each that was not a dead letter, or not ``only``'s.

    Each goes back to its own account.
    """

    def call(space: Space, some: Sequence[str]) -> Sequence[str]:
        script = _redrive.within(space)
        return script(client, records=keys.records(some), now=now, today=budgets.day(now), ids=some)

    placed = [Placed(reply, only) for reply in call(only, ids)] if only else in_its_space(ids, call)
    lanes: dict[tuple[int, str], list[str]] = defaultdict(list)
    answers: list[RedriveOutcome | None] = []
    for one, (reply, space) in zip(ids, placed, strict=True):
        if reply.isdigit():
            lanes[int(reply), space.account].append(one)
            answers.append(RedriveOutcome.REDRIVEN)
        else:
            answers.append(_LEFT_DEAD.get(reply))
    for lane, account in sorted(lanes):
        nudger.publish(lane, lanes[lane, account], account)
    return answers


def _group(owner: str, code: str, every: Sequence[FoundMessage], now: int) -> DeadGroup:
    good = [one for one in every if one.to and one.expires_at > now]
    return DeadGroup(
        owner=owner,
        code=code,
        reason=every[0].reason,
        messages=len(every),
        lost=len(every) - len(good),
        parts=sum(one.parts for one in good),
        estimate_millionths=sum(one.estimate_millionths for one in good),
    )


_LEFT_DEAD: dict[str, RedriveOutcome] = {
    LeftDead.EXPIRED: RedriveOutcome.EXPIRED,
    LeftDead.OVER: RedriveOutcome.OVER_BUDGET,
    LeftDead.ERASED: RedriveOutcome.ERASED,
    LeftDead.DAMAGED: RedriveOutcome.DAMAGED,
}


def _refused(status: str) -> RedriveOutcome:
    if not status:
        return RedriveOutcome.UNKNOWN
    if status == Status.IN_DOUBT:
        return RedriveOutcome.IN_DOUBT
    return RedriveOutcome.ENDED if status in FINAL else RedriveOutcome.UNDER_WAY
