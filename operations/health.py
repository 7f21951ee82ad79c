"""Health: whether a worker consumes messages, which a ping cannot show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from threelane.store import keys
from threelane.worker.account import hold
from threelane.worker.gateway.breaking import scope_of

SILENT_MS = 20_000  # a worker whose event loop is blocked misses several heartbeats
IDLE_MS = 60_000  # work may wait this long before the worker counts as unhealthy
GONE_MS = 600_000  # a worker silent for this long was stopped, or is known to be down
SLOW_SECONDS = {
    1: (5, 30),
    2: (60, 900),
    3: (600, 3600),
}  # lane -> age of its oldest message: a warning, an error; the same as in the alerts


def problem_of(client: redis.Redis, name: str, now: int) -> str:
    """Return what is wrong with a worker, or '' when it is healthy."""
    entry: Any = client.hgetall(keys.worker(name))
    if not entry:
        return f"no worker {name} has reported within a day: start it, or use the name in THREELANE_WORKER_NAME"
    silent = now - int(entry[b"beat"])
    if silent > SILENT_MS:
        return f"worker {name} has not reported for {silent // 1000} s: it is down, or its event loop is blocked"
    if fault := entry.get(b"fault", b"").decode():
        return f"worker {name} sends nothing: {fault}; correct THREELANE_GATEWAY_URL, or the network of its machine"
    idle = now - int(entry[b"fetched"])
    held = hold.holds(client, now)
    if scope_of(entry.get(b"gateway", b"").decode()) in held:
        return ""
    for lane in (int(lane) for lane in entry[b"lanes"].split(b",") if lane):
        if "account" in held or f"lane:{lane}" in held:
            continue
        oldest: Any = client.zrange(keys.QUEUED[lane], 0, 0, withscores=True)
        if oldest and now - oldest[0][1] > IDLE_MS and idle > IDLE_MS:
            return (
                f"worker {name} has fetched nothing for {idle // 1000} s while messages wait in lane {lane}: restart it"
            )
    return ""


def outage(client: redis.Redis, held: Mapping[str, hold.Held], now: int) -> hold.Held | None:
    """Return the open breaker that stops every reporting worker, or None."""
    names: Any = client.zrange(keys.WORKERS, now - SILENT_MS, "+inf", byscore=True)
    gateways: Any = [client.hget(keys.worker(name.decode()), "gateway") for name in names]
    opened = [held.get(scope_of((one or b"").decode())) for one in gateways]
    return opened[0] if opened and all(opened) else None
