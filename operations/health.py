"""Health: proof that a worker consumes, which a ping does not give."""

from __future__ import annotations

from typing import Any

import redis

from threelane.store import keys
from threelane.worker.account import hold

SILENT_MS = 20_000  # a worker whose loop stands still misses several beats
IDLE_MS = 60_000  # work may wait so long before somebody is told
GONE_MS = 600_000  # who has not reported for so long was stopped, or is known to be gone
SLOW_SECONDS = {
    1: (5, 30),
    2: (60, 900),
    3: (600, 3600),
}  # of a lane's oldest: a warning, an error; as the alerts have it


def ailment(client: redis.Redis, name: str, now: int) -> str:
    """Return what is wrong with a worker, or '' when it consumes what there is to consume."""
    entry: Any = client.hgetall(keys.worker(name))
    if not entry:
        return f"no worker {name} has reported within a day: start it, or name it as THREELANE_WORKER_NAME does"
    silent = now - int(entry[b"beat"])
    if silent > SILENT_MS:
        return f"worker {name} has not reported for {silent // 1000} s: it is gone, or its event loop stands still"
    idle = now - int(entry[b"fetched"])
    held = hold.holds(client, now)
    for lane in (int(lane) for lane in entry[b"lanes"].split(b",") if lane):
        if "account" in held or f"lane:{lane}" in held:
            continue
        oldest: Any = client.zrange(keys.QUEUED[lane], 0, 0, withscores=True)
        if oldest and now - oldest[0][1] > IDLE_MS and idle > IDLE_MS:
            return f"worker {name} has fetched nothing for {idle // 1000} s while lane {lane} holds work: restart it"
    return ""
