"""Own health: the workers of this host as they report themselves, with or without Redis, and within one deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import msgspec
import redis
from redis.exceptions import RedisError

from threelane.operations import health
from threelane.operations.together import read_together
from threelane.producer.outage import explain
from threelane.runtime.exits import Exit
from threelane.store import keys
from threelane.worker.account import hold
from threelane.worker.account.hold import Held
from threelane.worker.process.identity import Announced
from threelane.worker.process.probes import Live

MOST_SECONDS = 4.0  # of the whole command, from the start of its process
REPORT_SECONDS = 0.6  # of these, to print the result and to end the process
LEAST_SECONDS = 1.0  # for its reads, on a machine so busy that starting took the rest
MOST_BYTES = 100_000
_open = build_opener(ProxyHandler({})).open  # never through a proxy: it is this host


class InRedis(NamedTuple):
    """What Redis knows of workers: by name why a restart helps, the waits, and the holds.

    Why a worker sends nothing is only in its own report: its heartbeat in Redis is up to 5 s older.
    """

    idle: Mapping[str, str]
    waits: Sequence[str]
    holds: Mapping[str, Held]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The health of workers: ``problems`` end with a restart of the worker, ``reasons`` without one.

    ``redis`` is why Redis could not be read, or ''; then there are no waits and no holds.
    """

    workers: tuple[str, ...]
    problems: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    redis: str = ""
    waits: tuple[str, ...] = ()
    holds: Mapping[str, Held] = {}

    def code(self, *, ready: bool) -> Exit:
        """Return the exit code: of liveness, in which only what a restart ends counts, or of readiness."""
        if self.problems:
            return Exit.UNHEALTHY
        if self.redis:
            return Exit.UNAVAILABLE if ready else Exit.OK
        if ready and self.reasons:
            return Exit.UNHEALTHY
        return Exit.WAITING if self.waits else Exit.OK


def read(workers: Sequence[Announced], look: Callable[[], InRedis], most_seconds: float) -> Health:
    """Return the health of the workers of this host: their own reports first, then what Redis adds."""
    ends_at = time.monotonic() + most_seconds
    readings: dict[Any, Callable[[], Any]] = {
        one.slot: partial(_report, one, most_seconds) for one in workers if one.metrics
    }
    found = read_together({**readings, "redis": look}, ends_at - time.monotonic())
    known, problems, reasons, away = found["redis"], [], [], ""
    if isinstance(known, Exception):
        away, known = _away(known), InRedis({}, (), {})
    for one in workers:
        own = found.get(one.slot)
        if own is None:
            reasons.append(f"worker {one.name} starts")
        elif isinstance(own, Exception):
            problems.append(f"worker {one.name} (process {one.pid}) does not answer at {one.metrics}: restart it")
        else:
            problems += [f"worker {one.name}: {problem}: restart it" for problem in own.problems]
            reasons += [f"worker {one.name} is not ready: {reason}" for reason in own.reasons]
            # after an outage of Redis no worker has fetched for a while, which no restart ends
            if own.reporting_seconds * 1000 > health.IDLE_MS and known.idle.get(one.name):
                problems.append(known.idle[one.name])
    return Health(
        workers=tuple(one.name for one in workers),
        problems=tuple(problems),
        reasons=tuple(reasons),
        redis=away,
        waits=tuple(known.waits),
        holds=known.holds,
    )


def look(client: redis.Redis, names: Sequence[str], now: int) -> InRedis:
    """Return what Redis knows of workers; raises RedisError."""
    idle, waits = {}, []
    for name in names:
        entry: Any = client.hgetall(keys.worker(name))
        if not entry:
            continue
        idle[name] = health.idleness_of(client, name, now)
        waits += health.waits_of(client, name, now)
    return InRedis(idle, tuple(dict.fromkeys(waits)), hold.holds(client, now))


def seconds_left(most_seconds: float = MOST_SECONDS) -> float:
    """Return what is left of a command's time since its process began; not less than ``LEAST_SECONDS``."""
    return max(LEAST_SECONDS, most_seconds - REPORT_SECONDS - _process_seconds())


def _process_seconds() -> float:
    try:
        began = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):  # not Linux
        return time.process_time()


def _report(worker: Announced, seconds: float) -> Live:
    """Return a worker's own report; raises OSError, or ValueError if another process answers."""
    try:
        with _open(f"http://{worker.metrics}/live", timeout=seconds) as response:
            body = response.read(MOST_BYTES)
    except HTTPError as unhealthy:  # 503 has the report, too
        body = unhealthy.read(MOST_BYTES)
    found = msgspec.json.decode(body, type=Live)
    if found.pid != worker.pid:
        raise ValueError("another process answers")
    return found


def _away(failed: Exception) -> str:
    if isinstance(failed, RedisError):
        return explain(failed)
    return (
        "Redis did not answer in time: check its load and address" if isinstance(failed, TimeoutError) else str(failed)
    )
