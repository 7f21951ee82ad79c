"""Breaking: the scripts of the breaker, and the fields that they share."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import redis

from threelane.runtime import logs
from threelane.store import keys, rows
from threelane.store.keys import HERE, BreakerKey, Space
from threelane.store.scripts import number, script

SCOPE = "gateway"
"""The kind of a breaker's row among the holds: ``gateway:<fingerprint>``."""


class Breaking(StrEnum):
    """A field of a breaker, besides its row among the holds; times in milliseconds."""

    OPENED = "opened"
    CLOSED = "closed"
    INTERVAL = "interval"  # the last wait between probes, ms
    NEXT = "next"  # when the next probe is due
    PLANNED = "planned"  # when that was decided
    PROBER = "prober"  # the token of the worker that probes
    TAKEN = "taken"  # since when it probes
    ENDS = "ends"  # when another worker may probe instead
    OPENER = "opener"  # the process that opened it
    CLOSER = "closer"  # the process whose probe closed it
    PASSES = "passes"  # the prober may claim one message


class Probe(StrEnum):
    """The result of a probe."""

    ANSWERED = "answered"
    FAILED = "failed"


def _times(reply: Any) -> tuple[int, int]:
    opened_at, next_probe_at = reply
    return int(opened_at), int(next_probe_at)


@script(__file__, _times, [Breaking])
def trip(
    *,
    breaker: BreakerKey,
    now: int,
    scope: str,
    code: str,
    detail: str,
    address: str,
    failures: int,
    began: int,
    process: str,
    wait_ms: int,
    first_ms: int,
    most_ms: int,
    jitter: float,
) -> None:
    """Open the breaker; returns when it opened and when its next probe is due.

    Zeros: the failure is outdated.  -1: other processes are answered, so the problem is this process's own.
    """


@script(__file__, bool, [Breaking])
def take_probe(*, breaker: BreakerKey, now: int, scope: str, token: str, ends: int) -> None:
    """Take the probe if it is due; returns whether this worker probes."""


@script(__file__, bool, [Breaking])
def let_through(*, breaker: BreakerKey, scope: str, token: str, ends: int) -> None:
    """Allow the prober one claim of one message; returns whether it still is the prober."""


@script(__file__, number, [Breaking, Probe])
def fail_probe(
    *,
    breaker: BreakerKey,
    now: int,
    scope: str,
    token: str,
    code: str,
    detail: str,
    wait_ms: int,
    most_ms: int,
    jitter: float,
) -> None:
    """End a failed probe; returns when the next one is due, 0 if this worker is no longer the prober."""


@script(__file__, bool, [Breaking, Probe])
def close_breaker(*, breaker: BreakerKey, now: int, scope: str, token: str, process: str) -> None:
    """Close the breaker for its prober, or with an empty token for an operator; returns whether it was open."""


def scope_of(fingerprint: str) -> str:
    """Return the scope of a breaker's row among the holds."""
    return f"{SCOPE}:{fingerprint}"


def reset(client: redis.Redis, scope: str, now: int, space: Space = HERE) -> bool:
    """Close one breaker of an account, or for the scope ``gateway`` all of them; returns whether one was open."""
    holds, close = keys.names(space).HOLDS, close_breaker.within(space)
    names: Any = rows.unless_damaged(holds, lambda: client.hkeys(holds), [])
    opened = [rows.text(one) for one in names if one.startswith(f"{SCOPE}:".encode())]
    scopes = [one for one in opened if scope in (SCOPE, one)]
    closed = [
        close(client, breaker=keys.breaker(one.partition(":")[2], space), now=now, scope=one, token="", process="")
        for one in scopes
    ]
    if any(closed):
        logs.event("breaker_closed", level=30, by="operator")
    return any(closed)
