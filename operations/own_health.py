"""Own health: the workers of this host as they report themselves, with or without Redis, and within one deadline."""

from __future__ import annotations

import os
import socket
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
from threelane.producer.explanation import explain
from threelane.runtime.exits import Exit
from threelane.store import rows
from threelane.store.keys import space_of
from threelane.worker.account import hold
from threelane.worker.account.hold import Held
from threelane.worker.process.announcements import Announced
from threelane.worker.process.identity import digest_of
from threelane.worker.process.metrics_endpoint import PORTS, reachable
from threelane.worker.process.probes import Live
from threelane.worker.process.settings import WorkerSettings

MOST_SECONDS = 4.0  # of the whole command, from the start of its process
REPORT_SECONDS = 0.6  # of these, to print the result and to end the process
LEAST_SECONDS = 1.0  # for its reads, on a machine so busy that starting took the rest
MOST_BYTES = 100_000
CONNECT_SECONDS = 0.1  # to a port of this host
UNANNOUNCED_SECONDS = 1.0  # for workers that answer, and are not announced
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

    ``redis`` is why Redis could not be read, or ''; then there are no waits and no holds.  ``warnings`` are what keeps
    no worker from sending; without workers and problems, they are why it is unknown whether there are workers.
    """

    workers: tuple[str, ...]
    problems: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    redis: str = ""
    waits: tuple[str, ...] = ()
    holds: Mapping[str, Held] = {}
    warnings: tuple[str, ...] = ()

    def code(self, *, ready: bool) -> Exit:
        """Return the exit code: of liveness, in which only what a restart ends counts, or of readiness."""
        if self.problems:
            return Exit.UNHEALTHY
        if not self.workers:
            return Exit.USAGE
        if self.redis:
            return Exit.UNAVAILABLE if ready else Exit.OK
        if ready and self.reasons:
            return Exit.UNHEALTHY
        return Exit.WAITING if self.waits else Exit.OK


def read(
    workers: Sequence[Announced], look: Callable[[], InRedis], most_seconds: float, unknown: Sequence[str] = ()
) -> Health:
    """Return the health of the workers of this host: their own reports first, then what Redis adds."""
    ends_at = time.monotonic() + most_seconds
    readings: dict[Any, Callable[[], Any]] = {
        one.slot: partial(_report, one, most_seconds) for one in workers if one.metrics
    }
    found = read_together({**readings, "redis": look}, ends_at - time.monotonic())
    known, problems, reasons, away, warnings = found["redis"], [], [], "", [*unknown]
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
            warnings += [f"worker {one.name}: {warning}" for warning in own.warnings]
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
        warnings=tuple(warnings),
    )


def unannounced(settings: WorkerSettings, most_seconds: float) -> list[Announced]:
    """Return the workers of this user that answer at the ports of workers, for when none can be seen in the run folder.

    Somebody may have removed or damaged the announcements of healthy workers: a restart would help none of them.
    """
    redis, host = digest_of(settings), reachable(settings.metrics_host)
    ports = PORTS if settings.metrics_port is None else (settings.metrics_port,)
    targets = [f"{host}:{port}" for port in ports if _listens(host.strip("[]"), port)]
    found = read_together({one: partial(_live, one, most_seconds) for one in targets}, most_seconds)
    return [
        Announced(
            name=own.worker,
            slot=-number,
            pid=own.pid,
            started=0,
            incarnation="",
            redis=redis,
            account=own.account,
            metrics=target,
        )
        for number, (target, own) in enumerate(found.items())
        if isinstance(own, Live) and own.redis == redis and _is_of_this_user(own.pid)
    ]


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except (OSError, UnicodeError):
        return False
    return True


def _is_of_this_user(pid: int) -> bool:
    try:
        return os.geteuid() in (0, Path(f"/proc/{pid}").stat().st_uid)
    except OSError:  # it is in another container, or this is not Linux
        return False


def look(client: redis.Redis, names: Sequence[str], now: int) -> InRedis:
    """Return what Redis knows of workers; raises RedisError."""
    idle, waits, held = {}, [], dict[str, Held]()
    for name in names:
        if not (entry := rows.report_of(client, name)):
            continue
        held |= _held(client, health.account_of(entry), now)
        idle[name] = health.idleness_of(client, name, now)
        waits += health.waits_of(client, name, now)
    return InRedis(idle, tuple(dict.fromkeys(waits)), held if idle else hold.holds(client, now))


def _held(client: redis.Redis, account: str, now: int) -> dict[str, Held]:
    """Return the holds of an account; the name of another than the default one begins their scopes."""
    space = space_of(account)
    return {hold.prefixed(space, scope): one for scope, one in hold.holds(client, now, space).items()}


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
    found = _live(worker.metrics, seconds)
    if found.pid != worker.pid:
        raise ValueError("another process answers")
    return found


def _live(target: str, seconds: float) -> Live:
    """Return the report of whichever worker answers; raises OSError or ValueError."""
    try:
        with _open(f"http://{target}/live", timeout=seconds) as response:
            body = response.read(MOST_BYTES)
    except HTTPError as unhealthy:  # 503 has the report, too
        body = unhealthy.read(MOST_BYTES)
    return msgspec.json.decode(body, type=Live)


def _away(failed: Exception) -> str:
    if isinstance(failed, RedisError):
        return explain(failed)
    return (
        "Redis did not answer in time: check its load and address" if isinstance(failed, TimeoutError) else str(failed)
    )
