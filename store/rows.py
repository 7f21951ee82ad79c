"""Rows: reads rows of stored tables; one that is unreadable costs only what it concerns, and no reader fails at it.

What an unreadable row means is decided once for each table, by what is safe, here and in the scripts: a suppression
forbids, a hold holds its scope, a budget refuses what it limits, a key or a producer is absent, and what workers write
again is dropped.  operations/damage.py lists such rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from threelane.runtime import logs
from threelane.store import keys
from threelane.store.keys import HERE, Space

MOST_LOGGED = 1000  # different rows that a process logs, each once
CODE = "damaged_row"
"""The code of a hold whose row is unreadable; the same as in holds.lua."""
MOST_EXACT = 2**53  # the scripts read no greater number
T = TypeVar("T")
_logged: set[tuple[str, str]] = set()


def text(raw: bytes | None) -> str:
    """Return stored text; bytes that are not UTF-8 are shown as escapes."""
    return (raw or b"").decode("utf-8", "backslashreplace")


def number(raw: bytes | str | None, default: int = 0) -> int:
    """Return a stored whole number, or the default if it is none."""
    try:
        return int(raw or default)
    except ValueError:
        return default


def real(raw: bytes | None) -> float:
    """Return a stored number, or 0 if it is none."""
    try:
        found = float(raw or 0)
    except ValueError:
        return 0.0
    return found if abs(found) < MOST_EXACT else 0.0


def decode(key: str, name: bytes | str, raw: bytes, read: Callable[[bytes], T]) -> T | None:
    """Return a row, or None if it is unreadable, which is logged once."""
    try:
        return read(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        report(key, text(name) if isinstance(name, bytes) else name)
        return None


def report(key: str, name: str = "") -> None:
    """Log an unreadable row, once in this process; without a name: the key has another type."""
    if (key, name) not in _logged and len(_logged) < MOST_LOGGED:
        _logged.add((key, name))
        logs.event("damaged_row", level=40, key=key, row=name)


def known(key: str, reply: Any, default: Any) -> Any:
    """Return a reply of Redis, or the default if the key has another type; raises the other errors."""
    if not isinstance(reply, Exception):
        return reply
    if isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
        report(key)
        return default
    raise reply


def unless_damaged(key: str, call: Callable[[], Any], default: Any) -> Any:
    """Return what a command on a key returns, or the default if the key has another type."""
    try:
        return call()
    except ResponseError as failed:
        return known(key, failed, default)


def table(client: redis.Redis, key: str) -> Mapping[bytes, bytes]:
    """Return a hash; empty if the key has another type."""
    found: Mapping[bytes, bytes] = unless_damaged(key, lambda: client.hgetall(key), {})
    return found


async def table_async(client: redis.asyncio.Redis, key: str) -> Mapping[bytes, bytes]:
    """Return a hash; empty if the key has another type."""
    return dict(await unless_damaged_async(key, client.hgetall(key)) or {})


def entry(client: redis.Redis, key: str, name: str) -> bytes | None:
    """Return a row of a hash, or None; also if the key has another type."""
    found: bytes | None = unless_damaged(key, lambda: client.hget(key, name), None)
    return found


def ids(members: Any) -> list[str]:
    """Return the ids among the members of an index; bytes that are not UTF-8 are no id."""
    return [one.decode() for one in members if is_text(one)]


def is_text(raw: bytes) -> bool:
    """Return whether bytes are UTF-8, as every id and every name of a row is."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


async def take_ids(client: redis.asyncio.Redis, index: str, members: Any) -> list[str]:
    """Return the ids among the members of an index, and remove the others, so that no round meets them again."""
    others = [one for one in members if not is_text(one)]
    if others:
        report(index, text(others[0]))
        await client.zrem(index, *others)
    return ids(members)


def workers(client: redis.Redis, since: int) -> list[str]:
    """Return the names of the workers that reported since a time (ms)."""
    found = unless_damaged(keys.WORKERS, lambda: client.zrange(keys.WORKERS, since, "+inf", byscore=True), [])
    return [text(name) for name in found]


def reports(client: redis.Redis, names: Sequence[str], fields: Sequence[str]) -> list[list[bytes | None]]:
    """Return these fields of workers' reports; a damaged report has none."""
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hmget(keys.worker(name), fields)
        found = pipe.execute(raise_on_error=False)
    return [known(keys.worker(name), one, [None] * len(fields)) for name, one in zip(names, found, strict=True)]


ACCOUNT = "account"
"""The field of a worker's report that names its account, as keys do; a report of an earlier version has none."""


def workers_of(client: redis.Redis, since: int, space: Space = HERE) -> list[str]:
    """Return the names of the workers of an account that reported since a time (ms)."""
    return [*reports_of(client, since, [], space)]


def reports_of(
    client: redis.Redis, since: int, fields: Sequence[str], space: Space = HERE
) -> dict[str, list[bytes | None]]:
    """Return these fields of the reports of an account's workers since a time (ms), by worker."""
    names = workers(client, since)
    found = reports(client, names, [ACCOUNT, *fields])
    return {
        name: values for name, (account, *values) in zip(names, found, strict=True) if text(account) == space.account
    }


def report_of(client: redis.Redis, name: str) -> dict[bytes, bytes]:
    """Return a worker's report; empty if there is none, or if it is damaged: without the time of its report."""
    found = table(client, keys.worker(name))
    return dict(found) if found.get(b"beat", b"").isdigit() else {}


async def unless_damaged_async(key: str, call: Awaitable[Any]) -> Any | None:
    """Return what a command on a key returns, or None if the key has another type."""
    try:
        return await call
    except ResponseError as failed:
        return known(key, failed, None)
