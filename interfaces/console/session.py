"""ConsoleSession: a login to the console: a random token in a cookie, of which Redis stores only the digest."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import redis

from threelane.contract.schedule import MINUTE
from threelane.store import access, keys
from threelane.store.api_key import ApiKey

IDLE_MS = 60 * MINUTE  # a session ends after this long without a request
LONGEST_MS = 720 * MINUTE


class ConsoleSession(NamedTuple):
    """An active login: its key, the CSRF token of its forms, and what the pages remember between requests.

    ``notice`` is shown once.  ``search`` and ``number`` are the last ones looked up, kept here because a URL must not
    contain a number.  ``look`` is an earlier reading of the lanes' counters.
    """

    digest: str
    key: ApiKey
    csrf: str
    notice: str = ""
    search: str = ""
    number: str = ""
    look: bytes = b""


_STORED = {"notice": "said"}  # attribute -> field in Redis, where they differ


def open_for(client: redis.Redis, key: ApiKey, now: int) -> str:
    """Start a session; returns the token for its cookie."""
    token = secrets.token_urlsafe(32)
    _write(client, _digest(token), IDLE_MS, {"key": key.id, "csrf": secrets.token_urlsafe(32), "made": now})
    return token


def find(client: redis.Redis, token: str, now: int) -> ConsoleSession | None:
    """Return the session of a token; None when it has ended, or its key is revoked, expired or may not view."""
    digest = _digest(token)
    found: Any = client.hgetall(keys.console(digest))
    known = {name.decode(): value for name, value in found.items()}
    remaining = int(known.get("made", 0)) + LONGEST_MS - now
    if "key" not in known or remaining <= 0:
        return None
    key = access.read(client, known["key"].decode(), now)
    if key is None or not key.may_view:
        client.delete(keys.console(digest))
        return None
    client.pexpire(keys.console(digest), min(IDLE_MS, remaining))
    notice, search, number = (known.get(name, b"").decode() for name in ("said", "search", "number"))
    return ConsoleSession(digest, key, known["csrf"].decode(), notice, search, number, known.get("look", b""))


def remember(client: redis.Redis, session: ConsoleSession, **values: str | bytes) -> None:
    """Store attributes of ``ConsoleSession`` for the next request."""
    _write(client, session.digest, IDLE_MS, {_STORED.get(name, name): value for name, value in values.items()})


def end(client: redis.Redis, session: ConsoleSession) -> None:
    """End a session at once."""
    client.delete(keys.console(session.digest))


def _write(client: redis.Redis, digest: str, lives_ms: int, values: Mapping[Any, Any]) -> None:
    with client.pipeline(transaction=True) as pipe:  # a session deleted meanwhile is not recreated without an expiry
        pipe.hset(keys.console(digest), mapping=dict(values))
        pipe.pexpire(keys.console(digest), lives_ms)
        pipe.execute()


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
