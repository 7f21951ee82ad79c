"""Health: whether a worker consumes messages, which a ping cannot show, and whether they wait too long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import redis
from redis.exceptions import NoPermissionError, RedisError

from threelane.operations import age
from threelane.store import keys, rows
from threelane.store.keys import space_of
from threelane.store.replies import reply_of
from threelane.store.write_check import check_write
from threelane.worker.account import hold
from threelane.worker.gateway.breaking import scope_of
from threelane.worker.process.identity import SILENT_MS

IDLE_MS = 60_000  # work may wait this long before the worker counts as unhealthy
GONE_MS = 600_000  # a worker silent for this long was stopped, or is known to be down
SLOW_SECONDS = {
    1: (5, 30),
    2: (60, 900),
    3: (600, 3600),
}  # lane -> age of its oldest message: a warning, an error; the same as in the alerts


class Reported(NamedTuple):
    """What is wrong with a worker by its reports in Redis, or '': a problem ends with a restart, a reason without."""

    problem: str = ""
    reason: str = ""


def reported(client: redis.Redis, name: str, now: int) -> Reported:
    """Return what is wrong with a worker by its reports in Redis; raises RedisError."""
    entry = rows.report_of(client, name)
    if not entry:
        return Reported(f"no worker {name} has reported within a day: start it; threelane top lists the names")
    silent = now - int(entry[b"beat"])
    if silent > SILENT_MS:
        since = f"worker {name} has not reported for {silent // 1000} s"
        if refusal := _refusal(client):  # then no worker can report
            return Reported(reason=f"{since}: {refusal}")
        return Reported(f"{since}: it is down, or its event loop is blocked")
    if reason := reason_of(entry, name):
        return Reported(reason=reason)
    return Reported(idleness_of(client, name, now))


def _refusal(client: redis.Redis) -> str:
    """Return why Redis refuses writes, or '' if it accepts them, or if only this user may not write."""
    try:
        check_write(client)
    except NoPermissionError:
        return ""
    except RedisError as failed:
        reply = reply_of(failed)
        if reply is None:
            raise
        return reply.sentence
    return ""


def reason_of(entry: Mapping[bytes, bytes], name: str) -> str:
    """Return why a worker that runs sends nothing by its own report, or ''; a restart would not help."""
    if fault := rows.text(entry.get(b"fault")):
        return f"worker {name} sends nothing: {fault}; correct THREELANE_GATEWAY_URL, or the network of its machine"
    if not_ready := rows.text(entry.get(b"not_ready")):
        return f"worker {name} is not ready: {not_ready}"
    return ""


def idleness_of(client: redis.Redis, name: str, now: int) -> str:
    """Return that a worker has fetched nothing for a minute although it could, or ''; a restart helps."""
    entry = rows.report_of(client, name)
    idle = now - rows.number(entry.get(b"fetched"), now)
    space = space_of(account_of(entry))
    held = hold.holds(client, now, space)
    if reason_of(entry, name) or scope_of(rows.text(entry.get(b"gateway"))) in held:
        return ""
    lanes = age.read(client, now, held, space)
    for lane in _lanes(entry):
        if "account" in held or f"lane:{lane}" in held:
            continue
        since = lanes[lane].in_lane_since()
        if since and now - since > IDLE_MS and idle > IDLE_MS:
            return (
                f"worker {name} has fetched nothing for {idle // 1000} s while messages wait in lane {lane}: restart it"
            )
    return ""


def waits_of(client: redis.Redis, name: str, now: int) -> list[str]:
    """Return the lanes of a worker whose oldest message waits for too long, with the cause; a restart may not help."""
    entry = rows.report_of(client, name)
    account = account_of(entry)
    lanes = age.read(client, now, space=space_of(account))
    slow = [lane for lane in _lanes(entry) if lanes[lane].oldest_seconds > SLOW_SECONDS[lane][1]]
    of = f" of the account {account}" if account else ""
    return [f"lane {lane}{of}: {age.sentence(lanes[lane])}; see threelane doctor" for lane in slow]


def account_of(entry: Mapping[bytes, bytes]) -> str:
    """Return the account of a worker by its report, as in keys."""
    return rows.text(entry.get(rows.ACCOUNT.encode()))


def _lanes(entry: dict[bytes, bytes]) -> list[int]:
    """Return the lanes that a worker reports."""
    return [lane for lane in keys.LANES if str(lane).encode() in entry.get(b"lanes", b"").split(b",")]
