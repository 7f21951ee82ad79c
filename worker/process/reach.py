"""Reach: a starting worker waits until Redis responds, and exits at once if waiting cannot help."""

from __future__ import annotations

import sys
import time

import redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from threelane.producer.outage import explain
from threelane.runtime import logs, tls
from threelane.runtime.exits import Exit
from threelane.runtime.settings import Settings
from threelane.store.connect import connect

PAUSE_SECONDS = 1.0


def reach_or_exit(settings: Settings) -> None:
    """Return when Redis responds; exit with code 2 and the problem if waiting cannot fix it."""
    client = connect(settings)
    try:
        while problem := _problem(client):
            logs.event("waits_for_redis", level=30, problem=problem)
            time.sleep(PAUSE_SECONDS)
    finally:
        client.close()


def _problem(client: redis.Redis) -> str:
    try:
        client.ping()
    except RedisError as failed:
        if tls.problem(failed) or isinstance(failed, AuthenticationError | NoPermissionError):
            print(f"threelane: {explain(failed)}", file=sys.stderr)
            raise SystemExit(Exit.USAGE) from None
        return explain(failed)
    return ""
