"""Session: a login at the operator's page: a random token in a cookie, of which Redis keeps the digest alone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import redis

from threelane.contract.schedule import MINUTE
from threelane.store import access, keys
from threelane.store.access import Key

IDLE_MS = 60 * MINUTE  # without a request, after which it is over
LONGEST_MS = 720 * MINUTE
MOST_TRIES = 10  # of one address, in
TRIES_MS = 5 * MINUTE


class Session(NamedTuple):
    """A login that is in force: whose, the token of its forms, and what the page remembers for it.

    ``said`` is a sentence to be shown once, ``search`` and ``number`` were asked for last: numbers are in no address.
    ``look`` is what the lanes had counted a while ago.
    """

    digest: str
    key: Key
    csrf: str
    said: str = ""
    search: str = ""
    number: str = ""
    look: bytes = b""


def open_for(client: redis.Redis, key: Key, now: int) -> str:
    """Begin a login; returns the token that is its cookie."""
    token = secrets.token_urlsafe(32)
    _write(client, _digest(token), IDLE_MS, {"key": key.id, "csrf": secrets.token_urlsafe(32), "made": now})
    return token


def find(client: redis.Redis, token: str, now: int) -> Session | None:
    """Return the login of a token; None when it is over, or its key was revoked, is expired or lost its right."""
    digest = _digest(token)
    found: Any = client.hgetall(keys.console(digest))
    known = {name.decode(): value for name, value in found.items()}
    remaining = int(known.get("made", 0)) + LONGEST_MS - now
    if "key" not in known or remaining <= 0:
        return None
    key = access.standing(client, known["key"].decode(), now)
    if key is None or not key.operator:
        client.delete(keys.console(digest))
        return None
    client.pexpire(keys.console(digest), min(IDLE_MS, remaining))
    said, search, number = (known.get(name, b"").decode() for name in ("said", "search", "number"))
    return Session(digest, key, known["csrf"].decode(), said, search, number, known.get("look", b""))


def remember(client: redis.Redis, session: Session, **values: str | bytes) -> None:
    """Keep values of ``Session`` for the next request."""
    _write(client, session.digest, IDLE_MS, values)


def end(client: redis.Redis, session: Session) -> None:
    """End a login at once."""
    client.delete(keys.console(session.digest))


def try_from(client: redis.Redis, address: str) -> int:
    """Count a try to log in; returns 0, or the milliseconds after which this address may try again."""
    key = keys.console_tries(address)
    with client.pipeline(transaction=True) as pipe:
        pipe.set(key, 0, nx=True, px=TRIES_MS)
        pipe.incr(key)
        pipe.pttl(key)
        _, tries, remaining = pipe.execute()
    return max(1, int(remaining)) if int(tries) > MOST_TRIES else 0


def forgive(client: redis.Redis, address: str) -> None:
    """Forget the tries of an address that has logged in."""
    client.delete(keys.console_tries(address))


def _write(client: redis.Redis, digest: str, lives_ms: int, values: Mapping[Any, Any]) -> None:
    with client.pipeline(transaction=True) as pipe:  # what was ended meanwhile is not left without an end
        pipe.hset(keys.console(digest), mapping=dict(values))
        pipe.pexpire(keys.console(digest), lives_ms)
        pipe.execute()


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
