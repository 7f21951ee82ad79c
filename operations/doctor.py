"""Doctor: what is wrong now, who can mend it, and the command that helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import redis

from threelane.contract.prices import CREDIT
from threelane.contract.refusal import Owner
from threelane.operations import capacity, forecast, health
from threelane.operations.finding import Finding, Grade
from threelane.store import keys
from threelane.worker.account import hold
from threelane.worker.dead import redrive
from threelane.worker.policy.rule import Table

OK, WARNING, ERROR = Grade
OVERDUE_MS = 30_000  # what is due is released within a second
QUIET_MS = 900_000  # a door that heard nothing for so long, while messages wait for receipts
DRY_HOURS = (24, 2)  # a warning, an error
FULL = (0.8, 0.9)  # of the memory ceiling: a warning, and where intake ends
START_WORKER = "start one: threelane worker"
_MENDS = {  # who can mend dead letters -> what helps
    Owner.OPERATOR: "mend the cause (docs/operations.md), then threelane dead redrive --code {code}",
    Owner.PRODUCER: "tell the producer: threelane dead list --owner producer --code {code}",
    Owner.RECIPIENT: "nothing: the recipient does not want it, or cannot be reached",
    Owner.GATEWAY: "when the gateway is well again: threelane dead redrive --code {code}",
}


def diagnose(client: redis.Redis, now: int, table: Table) -> Iterator[Finding]:
    """Look at all that Redis knows of; the settings are looked at by ``check``.  ``table`` says whose a code is."""
    waiting = _depths(client)
    yield from _workers(client, now, sum(waiting.values()))
    yield from _lanes(client, now, waiting)
    yield from _holds(client, now, table)
    yield from _credit(client, now)
    yield from _memory(client, now)
    yield from _overdue(client, now)
    yield from _door(client, now)
    yield from _dead(client, now)


def _depths(client: redis.Redis) -> dict[int, int]:
    return {lane: int(client.zcard(keys.QUEUED[lane])) for lane in keys.LANES}


def _workers(client: redis.Redis, now: int, waiting: int) -> Iterator[Finding]:
    """Look at each worker that reported of late; those that were stopped an hour ago are nobody's trouble."""
    found: Any = client.zrange(keys.WORKERS, now - health.GONE_MS, "+inf", byscore=True)
    ailing = {name.decode(): health.ailment(client, name.decode(), now) for name in found}
    for name, problem in ailing.items():
        if problem:
            yield Finding(WARNING, "worker", problem, f"threelane health --worker {name}; restart it, or forget it")
    well = sum(not problem for problem in ailing.values())
    if well:
        yield Finding(OK, "workers", f"{well} consume")
    else:
        yield Finding(
            ERROR if waiting else WARNING, "workers", f"none consumes; {waiting:,} messages wait", START_WORKER
        )


def _lanes(client: redis.Redis, now: int, waiting: dict[int, int]) -> Iterator[Finding]:
    """Look whether somebody fetches each lane, and how long its oldest message waits."""
    alive: Any = client.zrange(keys.WORKERS, now - health.SILENT_MS, "+inf", byscore=True)
    consumed: set[str] = set()
    for name in alive:
        consumed.update((client.hget(keys.worker(name.decode()), "lanes") or b"").decode().split(","))  # type: ignore[union-attr]
    held = hold.holds(client, now)
    for lane, depth in waiting.items():
        what = f"lane {lane}"
        if alive and str(lane) not in consumed:
            step = f"start one: threelane worker --lanes {lane}"
            yield Finding(ERROR if depth else WARNING, what, f"no worker fetches it; {depth:,} wait", step)
        oldest: Any = client.zrange(keys.QUEUED[lane], 0, 0, withscores=True)
        seconds = (now - oldest[0][1]) / 1000 if oldest else 0.0
        late, too_late = health.SLOW_SECONDS[lane]
        told = f"{depth:,} wait, the oldest for {seconds:,.0f} s"
        if seconds <= late:
            yield Finding(OK, what, told if depth else "nothing waits")
        elif "account" in held or f"lane:{lane}" in held:
            yield Finding(WARNING, what, f"{told}: it is on hold", "threelane holds")
        else:
            grade = ERROR if seconds > too_late else WARNING
            yield Finding(
                grade, what, told, "threelane top: are there workers, is the rate (PARTS_PER_SECOND) used up?"
            )


def _holds(client: redis.Redis, now: int, table: Table) -> Iterator[Finding]:
    held = hold.holds(client, now)
    for scope, one in sorted(held.items()):
        wide = scope == "account" or scope.startswith("lane:")
        owner = table.rules[one.code].owner if one.code in table.rules else Owner.OPERATOR
        step = "it ends by itself" if one.until else hold.way_back(one)
        if not one.until and step.endswith("threelane resume"):
            step += "" if scope == "account" else f" {scope!r}"
        yield Finding(ERROR if wide else WARNING, "hold", f"{scope}: {one.code} {one.cause}", step, owner)
    if not held:
        yield Finding(OK, "holds", "nothing is on hold")


def _credit(client: redis.Redis, now: int) -> Iterator[Finding]:
    money, before = forecast.read(client, now), OK
    if money.error:
        yield Finding(WARNING, "credit", f"the balance cannot be read: {money.error}", "threelane check --live")
    if money.balance is None:
        if not money.error:
            yield Finding(WARNING, "credit", "the balance was not read yet", "a worker reads it: threelane worker")
        return
    if money.waiting_lanes:
        lanes = ", ".join(map(str, money.waiting_lanes))
        yield Finding(ERROR, "credit", f"lanes {lanes} wait: what is left is kept for those above", "top up")
    hours = money.hours_left
    if hours is not None and hours < DRY_HOURS[0]:
        before = ERROR if hours < DRY_HOURS[1] else WARNING
        yield Finding(before, "credit", f"dry in {hours:.1f} hours at the present rate", "top up; threelane money")
    if money.short:
        yield Finding(
            WARNING, "credit", f"short of {money.short / CREDIT:,.2f} for what waits", "top up; threelane money"
        )
    if before is OK and not money.short and not money.waiting_lanes:
        yield Finding(OK, "credit", f"about {money.left / CREDIT:,.2f} left")


def _memory(client: redis.Redis, now: int) -> Iterator[Finding]:
    share = capacity.read(client, now).memory_share
    if share > FULL[0]:
        told = f"{share:.0%} of the memory ceiling of Redis is used; intake ends at {FULL[1]:.0%}"
        step = "let workers drain it: threelane top; or give Redis more (maxmemory)"
        yield Finding(ERROR if share > FULL[1] else WARNING, "memory", told, step)


def _overdue(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Look for what should have been done by now: releases, leases, look-ups."""
    for shelf, what, told in (
        (keys.DUE, "due set", "messages are due and were not put on their lanes"),
        (keys.LEASES, "leases", "attempts have outlived their lease"),
        (keys.DOUBT, "in doubt", "messages in doubt should have been asked for"),
    ):
        late = int(client.zcount(shelf, "-inf", now - OVERDUE_MS))
        if late:
            yield Finding(ERROR, what, f"{late:,} {told}", f"workers do that; {START_WORKER}")
    doubts = int(client.zcard(keys.DOUBT))
    if doubts:
        told = f"{doubts:,} messages may have been sent; the gateway is asked, and nothing is sent twice"
        yield Finding(WARNING, "in doubt", told, "wait; threelane list --state in_doubt", Owner.GATEWAY)


def _door(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Look when the network's word came last, if any is waited for."""
    found: Any = client.get(keys.HEARD)
    awaited, last = int(client.zcard(keys.AWAITING)), int(found or 0)
    ago = f"its last receipt came {(now - last) / 1000:,.0f} s ago" if last else "no receipt has come through it so far"
    if awaited and now - last > QUIET_MS:
        step = "is threelane callbacks up, and does Clickatell have its address, https://<host>/<secret>/status?"
        yield Finding(WARNING, "callback door", f"{ago}; {awaited:,} messages wait for theirs", step)
    else:
        yield Finding(OK, "callback door", ago)


def _dead(client: redis.Redis, now: int) -> Iterator[Finding]:
    """Tell of dead letters by who can mend them, those of the commonest code first."""
    piles = redrive.piles(client, now)  # the largest first
    owners: Counter[str] = Counter()
    for pile in piles:
        owners[pile.owner] += pile.messages
    for owner, number in owners.most_common():
        of_owner = [pile for pile in piles if pile.owner == owner]
        told = ", ".join(f"{pile.code} {pile.reason} ({pile.messages:,})" for pile in of_owner[:5])
        step = _MENDS.get(Owner(owner), "") if owner in set(Owner) else "threelane dead list"
        yield Finding(WARNING, "dead letters", f"{number:,}: {told}", step.format(code=of_owner[0].code), owner)
    if not owners:
        yield Finding(OK, "dead letters", "there are none")
