"""Reach: a starting worker waits until Redis takes its first write, and exits at once if waiting cannot help."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import redis
from redis.exceptions import RedisError

from threelane.producer.explanation import explain
from threelane.runtime import logs, tls
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings
from threelane.store.connect import connect
from threelane.store.replies import reply_of
from threelane.worker.process.identity import IDENTITY
from threelane.worker.process.readiness import READINESS, REDIS

PAUSE_SECONDS = 1.0
_WRONG = ("DB index is out of range", "WRONGTYPE")


def reach_or_exit(settings: Settings, first_write: Callable[[redis.Redis], None]) -> None:
    """Return when Redis has taken the first write; exit with code 2 and the problem if waiting cannot fix it."""
    client = connect(settings)
    try:
        while problem := _problem(client, first_write):
            if READINESS.wait(REDIS, problem):
                logs.event("waits_for_redis", level=30, problem=problem)
            IDENTITY.report(reasons=READINESS.reasons)
            time.sleep(PAUSE_SECONDS)
    finally:
        client.close()
    if READINESS.clear(REDIS):
        logs.event("reached_redis")
    IDENTITY.report(reasons=READINESS.reasons)


def _problem(client: redis.Redis, first_write: Callable[[redis.Redis], None]) -> str:
    try:
        client.ping()
        first_write(client)
    except RedisError as failed:
        if _is_configuration(failed):
            print(f"threelane: {explain(failed)}", file=sys.stderr)
            raise SystemExit(Exit.USAGE) from None
        return explain(failed)
    return ""


def _is_configuration(failed: RedisError) -> bool:
    """Return whether an error remains until the settings change."""
    if reply := reply_of(failed):
        return not reply.waits
    return bool(tls.problem(failed)) or any(text in str(failed) for text in _WRONG)
