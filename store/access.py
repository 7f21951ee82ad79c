"""Access: the API keys, their rights and rates; only a digest of a key is stored.

A key has a public id and 256 random bits, so a plain SHA-256 digest is safe: the bits cannot be guessed.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import redis

from threelane.contract import fields
from threelane.contract.message import Message
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.store import keys, registry
from threelane.store.keys import ApiRateKey
from threelane.store.scripts import number, script

PREFIX = "tl"
MOST_RATE = 100_000.0
MOST_NOTE = 200  # characters


@script(__file__, number)
def _access(*, bucket: ApiRateKey, now: int, a_second: float, most: float, units: int, owed: bool) -> None:
    """Take units from a bucket; returns 0, or the ms until a unit is available."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key and its rights; times are milliseconds of Unix time, ``expires`` 0 for never.

    ``senders`` and ``cost_centres`` are the allowed ones, empty for any.  ``bypass`` is the right to send legal notices
    and to skip the gateway's do-not-contact check (the producer needs it as well), ``suppression`` to read and change
    the list of suppressed numbers, ``operator`` to use all operator endpoints, for every producer, ``viewer`` to use
    those that only read, ``texts`` to also read texts.  ``rate`` is messages and other requests per second, 0 for no
    limit.
    """

    id: str
    producer: str
    digest: str
    lanes: tuple[int, ...] = keys.LANES
    senders: tuple[str, ...] = ()
    cost_centres: tuple[str, ...] = ()
    bypass: bool = False
    suppression: bool = False
    operator: bool = False
    viewer: bool = False
    texts: bool = False
    rate: float = 0.0
    made: int = 0
    expires: int = 0
    note: str = ""

    def __repr__(self) -> str:
        """Show id and producer, without the digest."""
        return f"ApiKey({self.id!r}, producer={self.producer!r})"

    @property
    def may_suppress(self) -> bool:
        """Whether it may read and change the list of suppressed numbers."""
        return self.suppression or self.operator

    @property
    def may_view(self) -> bool:
        """Whether it may see the console and read what operators read, for every producer."""
        return self.viewer or self.operator


class NewApiKey(NamedTuple):
    """A new key; ``token`` is the bearer token, which is not stored."""

    key: ApiKey
    token: str


def create(client: redis.Redis, producer: str, now: int, **rights: Any) -> NewApiKey:
    """Create a key for a producer, with the rights of ``ApiKey``; raises ValueError with problem and fix."""
    registry.check_name(producer)
    key_id = "k" + secrets.token_hex(6)  # never digits only, which would look like a number in a log
    token = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    key = ApiKey(id=key_id, producer=producer, digest=_digest(token), made=now, **_checked(rights))
    client.hset(keys.API_KEYS, key_id, msgspec.json.encode(key))
    return NewApiKey(key, token)


def revoke(client: redis.Redis, key_id: str) -> bool:
    """Revoke a key immediately; returns whether it existed."""
    client.delete(keys.api_rate(key_id))
    return bool(client.hdel(keys.API_KEYS, key_id))


def revoke_all(client: redis.Redis, producer: str) -> int:
    """Revoke all keys of a producer; returns how many."""
    return sum(revoke(client, one.id) for one in list_keys(client, producer))


def list_keys(client: redis.Redis, producer: str = "") -> list[ApiKey]:
    """Return the keys of a producer, or all keys, the oldest first."""
    found: Any = client.hvals(keys.API_KEYS)
    every = [msgspec.json.decode(entry, type=ApiKey) for entry in found]
    return sorted((one for one in every if producer in ("", one.producer)), key=lambda one: (one.made, one.id))


def authenticate(client: redis.Redis, token: str, now: int) -> ApiKey | None:
    """Return the key of a token, or None; compares in constant time."""
    prefix, _, rest = token.partition("_")
    key_id = rest.partition("_")[0]
    if prefix != PREFIX or not key_id or not token.isascii():
        return None
    key = read(client, key_id, now)
    return key if key and hmac.compare_digest(_digest(token), key.digest) else None


def read(client: redis.Redis, key_id: str, now: int) -> ApiKey | None:
    """Return the key with an id, or None if it was revoked or is expired."""
    entry: Any = client.hget(keys.API_KEYS, key_id)
    key = msgspec.json.decode(entry, type=ApiKey) if entry else None
    return key if key and not 0 < key.expires <= now else None


def take(client: redis.Redis, key: ApiKey, now: int, units: int = 1, *, owed: bool = False) -> int:
    """Take units of a key's rate; returns 0, or the milliseconds until a unit is available.

    ``owed``: take them even if too few are available, so that a long list waits only once.
    """
    if not key.rate or units < 1:
        return 0
    most = max(1.0, key.rate)
    bucket = keys.api_rate(key.id)
    return _access(client, bucket=bucket, now=now, a_second=key.rate, most=most, units=units, owed=owed)


def refuse(message: Message, key: ApiKey) -> Refusal | None:
    """Refuse a message that exceeds the rights of its key: the only check of these rights."""
    if message.producer != key.producer:
        return _no_right("producer", f"this key sends for {key.producer!r} only", "leave it out")
    if message.lane not in key.lanes:
        return _no_right(
            "lane", f"this key may not use lane {message.lane}", f"use lane {_either(key.lanes)}", grantable=True
        )
    if key.senders and message.sender not in key.senders:
        named = f"the sender {message.sender!r}" if message.sender else "the account's own sender"
        return _no_right("sender", f"this key may not use {named}", f"give {_either(key.senders)}", grantable=True)
    if key.cost_centres and message.cost_centre not in key.cost_centres:
        problem = f"this key may not charge {message.cost_centre!r}"
        return _no_right("cost_centre", problem, f"give {_either(key.cost_centres)}", grantable=True)
    if message.bypasses and not key.bypass:
        problem = "this key may not send to recipients who opted out"
        return _no_right(message.bypasses, problem, "leave it out", grantable=True)
    return None


def _no_right(field: str, problem: str, remedy: str, *, grantable: bool = False) -> Refusal:
    more = ", or ask an operator for a key with this right: threelane producers key make" if grantable else ""
    return Refusal(code=Code.INVALID, field=field, problem=problem, remedy=remedy + more, owner=Owner.OPERATOR)


def _either(values: Iterable[object]) -> str:
    return " or ".join(map(str, values))


def _checked(rights: dict[str, Any]) -> dict[str, Any]:
    """Return the rights, parsed by the rules of the message fields."""
    lanes = tuple(sorted(set(rights.get("lanes") or keys.LANES)))
    if not set(lanes) <= set(keys.LANES):
        raise ValueError(f"lanes {_either(lanes)}: give 1, 2 or 3")
    for name, parse in (("senders", fields.sender), ("cost_centres", fields.label)):
        rights[name] = tuple(_read(parse(one, name)) for one in rights.get(name) or ())
    if not 0 <= rights.get("rate", 0.0) <= MOST_RATE:
        raise ValueError(f"rate {rights['rate']:g}: give up to {MOST_RATE:g} a second, or 0 for no limit")
    rights["note"] = rights.get("note", "")[:MOST_NOTE]
    return rights | {"lanes": lanes}


def _read(parsed: Any) -> str:
    if isinstance(parsed, Refusal):
        raise ValueError(f"{parsed.field}: {parsed.problem}; {parsed.remedy}")
    return str(parsed)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
