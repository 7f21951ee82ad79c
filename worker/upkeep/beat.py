"""Beat: a worker's heartbeat, with its lanes, rate and load."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import redis
import redis.asyncio
from redis.exceptions import RedisError

from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import WorkerKey
from threelane.store.scripts import number, script
from threelane.worker.fetch.lanes import LANES
from threelane.worker.fetch.nudge import DROPPED
from threelane.worker.gateway.context import WorkerContext
from threelane.worker.process.duty import Duty
from threelane.worker.process.identity import IDENTITY, SILENT_MS
from threelane.worker.process.pulse import PULSE
from threelane.worker.process.readiness import GATEWAY, LOGIN, READINESS
from threelane.worker.process.settings import WorkerSettings

BEAT_SECONDS = 5.0
KEEP_SECONDS = 24 * 3600
FORGETTING = 0.99  # the decay of the busiest second per beat
FAREWELL_SECONDS = 1.0  # how long a worker that ends waits to remove its heartbeat


class BeatReport(NamedTuple):
    """The lanes that a worker fetches, its last fetch (ms), the shared rate, and its messages a second.

    ``gateway`` identifies the breaker that it shares, and ``fault`` is why only this worker sends nothing, or empty.
    ``fingerprint`` identifies its credentials, and ``not_ready`` is why it claims nothing, or empty.  ``pid``,
    ``started`` (ms) and ``incarnation`` identify the process.  ``dropped`` is what it found in the queues that is no
    nudge: when the last (ms), and how many by problem, or empty.  ``account`` is the account that it
    serves, as keys have it, and ``routing`` the version of the accounts and routes that it was started with.
    ``no_login`` is why the gateway has not accepted its login, or empty.  ``serves`` are the lanes that it serves, also
    before its first fetch and while the broker is away.
    """

    lanes: Sequence[int]
    fetched: int
    rate: float
    served: float
    gateway: str = ""
    fault: str = ""
    fingerprint: str = ""
    not_ready: str = ""
    pid: int = 0
    started: int = 0
    incarnation: str = ""
    dropped: str = ""
    account: str = ""
    routing: str = ""
    no_login: str = ""
    serves: Sequence[int] = ()


class StartedWith:
    """The version of the accounts and routes of this process; "" while the installation has one account."""

    routing = ""


STARTED_WITH = StartedWith()


def _text(reply: Any) -> str:
    return str(reply.decode())


@script(__file__, _text)
def _report(
    *,
    worker: WorkerKey,
    name: str,
    now: int,
    silent_ms: int,
    keep_ms: int,
    incarnation: str,
    dead: str,
    fields: Sequence[str],
) -> None:
    """Publish a heartbeat; returns the incarnation of another live worker of that name, or empty."""


@script(__file__, number)
def _forget(*, worker: WorkerKey, name: str, incarnation: str) -> None:
    """Remove the heartbeat of this process."""


def take_name(client: redis.Redis, settings: WorkerSettings) -> None:
    """Publish the first heartbeat, under a name that no other live worker has; raises RedisError."""
    seconds, microseconds = client.time()
    now = int(seconds) * 1000 + int(microseconds) // 1000
    no_lanes: list[int] = []  # it fetches none yet
    report = BeatReport(no_lanes, now, settings.parts_per_second, 0.0, settings.gateway_fingerprint)
    report, dead = _own(report, settings), ""
    while other := _report(client, **_arguments(report, now, dead)):
        dead = _make_way(other, dead)


async def forget(client: redis.asyncio.Redis) -> None:
    """Remove this worker's heartbeat; while Redis is away it lapses."""
    own = IDENTITY.announced
    with suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await _forget.run(client, worker=keys.worker(own.name), name=own.name, incarnation=own.incarnation)


def _own(report: BeatReport, settings: WorkerSettings) -> BeatReport:
    """Return a report with what identifies this process."""
    own = IDENTITY.announced
    return report._replace(
        fingerprint=settings.fingerprint,
        account=settings.space.account,
        routing=STARTED_WITH.routing,
        no_login=READINESS.reasons.get(LOGIN, ""),
        serves=sorted(LANES.serves),
        not_ready="; ".join(reason for part, reason in READINESS.reasons.items() if part != GATEWAY),  # it is the fault
        pid=own.pid,
        started=own.started,
        incarnation=own.incarnation,
    )


def _arguments(report: BeatReport, now: int, dead: str) -> Any:
    """Return the arguments of the script."""
    lists = {"lanes": report.lanes, "serves": report.serves}
    entry = report._asdict() | {name: ",".join(map(str, lanes)) for name, lanes in lists.items()}
    return {
        "worker": keys.worker(IDENTITY.name),
        "name": IDENTITY.name,
        "now": now,
        "silent_ms": SILENT_MS,
        "keep_ms": KEEP_SECONDS * 1000,
        "incarnation": report.incarnation,
        "dead": dead,
        "fields": [*map(str, chain.from_iterable(entry.items()))],
    }


def _make_way(other: str, dead: str) -> str:
    """Return the other worker if it certainly ended; else leave the name to it."""
    if other != dead and IDENTITY.is_dead(other):
        return other
    name = IDENTITY.name
    IDENTITY.leave_name()
    logs.event("name_taken", level=30, worker=IDENTITY.name, taken=name)
    return ""


async def _round(context: WorkerContext) -> bool:
    served, context.counted = context.claimed - context.counted, context.claimed
    if served:  # by nudges or by looks
        context.fetched_at = context.clock.now()
    context.busiest = max(context.busiest * FORGETTING, served / BEAT_SECONDS)
    report = BeatReport(
        sorted(LANES.consumed),
        context.fetched_at,
        context.settings.parts_per_second,
        context.busiest,
        gateway=context.settings.gateway_fingerprint,
        fault=context.breaker.fault,
        dropped=DROPPED.report(context.clock.now()),
    )
    IDENTITY.report(reasons=READINESS.reasons)
    report, dead = _own(report, context.settings), ""
    while other := await _report.run(context.client, **_arguments(report, context.clock.now(), dead)):
        dead = _make_way(other, dead)
    PULSE.reported()
    return False


DUTY = Duty(name="beat", interval_seconds=BEAT_SECONDS, work=_round)
