"""Audit: who changed what, and when: the latest changes by operators that decide who may be sent to.

An entry has no number of a recipient, so that an erasure leaves nothing here.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Sequence
from typing import Any

import msgspec
import redis
from redis.exceptions import ResponseError

from threelane.runtime import logs
from threelane.store import keys, rows

MOST = 10_000
MOST_LETTERS = 500
NOT_SET = "not set"


class AuditEntry(msgspec.Struct, frozen=True):
    """One change: when (ms, by the clock of Redis), by whom, of what kind, and its details."""

    at: int
    who: str
    what: str
    detail: str


def add(client: Any, what: str, detail: str, who: str = "") -> None:
    """Record a change; ``client`` is a connection, or the pipeline of the change itself.

    ``what`` is its kind in a few words, such as "reach"; ``who`` defaults to the user of this process.
    """
    fields = {"who": who or user(), "what": what, "detail": detail[:MOST_LETTERS]}
    client.xadd(keys.AUDIT, fields, maxlen=MOST, approximate=True)


def record(client: redis.Redis, what: str, detail: str, who: str = "") -> None:
    """Record a change that is made already: an entry that Redis refuses is an error in the log only."""
    try:
        add(client, what, detail, who)
    except ResponseError as failed:  # the key has another type, or the Redis user has no right to it yet
        logs.event("audit_failed", level=40, what=what, detail=detail, error=str(failed)[:200])


def record_change(client: redis.Redis, what: str, name: str, after: str, before: str, who: str = "") -> None:
    """Record the same of a value that was set or removed; "" stands for none."""
    record(client, what, f"{name}: {after or NOT_SET} (before: {before or NOT_SET})", who)


def read(client: redis.Redis, most: int) -> Sequence[AuditEntry]:
    """Return the latest entries, the newest first."""
    found: Any = rows.unless_damaged(keys.AUDIT, lambda: client.xrevrange(keys.AUDIT, count=most), [])
    return [_entry(rows.text(place), values) for place, values in found]


def user() -> str:
    """Return the user and host of this process."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


def _entry(place: str, values: Any) -> AuditEntry:
    texts = {rows.text(name): rows.text(value) for name, value in values.items()}
    return AuditEntry(int(place.partition("-")[0]), *(texts.get(name, "") for name in ("who", "what", "detail")))
