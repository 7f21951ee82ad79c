"""Access: the API keys, their rights and rates; only a digest of a key is stored.

A key has a public id and 256 random bits, so a plain SHA-256 digest is safe: the bits cannot be guessed.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import redis

from threelane.contract import countries, fields, senders
from threelane.contract.message import Message
from threelane.contract.prices import country
from threelane.contract.reading import parse_reading
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.store import api_key, keys, last_used, overlap, registry, rows
from threelane.store.api_key import LIMITS, ApiKey, Limit
from threelane.store.keys import ApiRateKey
from threelane.store.scripts import number, script

PREFIX = "tl"
MOST_NOTE = 200  # characters
MOST_CODES = 100  # of lane 1 in a list, if the rate of the key is no higher
_LATER = "send the others in the next list, or in lane 2 or 3"


@script(__file__, number)
def _access(*, bucket: ApiRateKey, now: int, a_second: float, most: float, units: int, owed: bool) -> None:
    """Take units from a bucket; returns 0, or the ms until a unit is available."""


class NewApiKey(NamedTuple):
    """A new key, or a new secret of one; ``token`` is the bearer token, which is not stored."""

    key: ApiKey
    token: str

    def __repr__(self) -> str:
        """Show the key, without the token."""
        return f"NewApiKey({self.key!r})"


class MissingLimits(ValueError):
    """A new key has neither these limits nor the explicit wish to have none; the text names them."""

    def __init__(self, missing: Sequence[Limit]) -> None:
        """List the limits that are missing."""
        self.missing = missing
        named = ", ".join(one.field for one in missing)
        super().__init__(f"a key needs explicit limits; missing: {named}; give them, or create it as unlimited")


def create(client: redis.Redis, producer: str, now: int, *, unlimited: bool = False, **rights: Any) -> NewApiKey:
    """Create a key for a producer, with the rights of ``ApiKey``; raises ValueError with problem and fix.

    Lanes, senders, rate and expiry are required (MissingLimits); with ``unlimited``, those left out have no limit.
    """
    registry.check_name(producer)
    checked = _checked(_limited(rights, unlimited=unlimited))
    key_id = "k" + secrets.token_hex(6)  # never digits only, which would look like a number in a log
    token = _new_token(key_id)
    key = ApiKey(id=key_id, producer=producer, digest=_digest(token), made=now, **checked)
    client.hset(keys.API_KEYS, key_id, api_key.encode(key))
    return NewApiKey(key, token)


def rotate(client: redis.Redis, key_id: str, now: int, overlap_ms: int) -> NewApiKey | None:
    """Give a key a new secret; None if it does not exist.  The earlier ones stay valid for the overlap at most.

    Each earlier secret keeps its own end, if that is sooner: no rotation extends it.  Without an overlap, all end now.
    Raises ValueError if too many would be valid.
    """
    token = _new_token(key_id)

    def change(pipe: Any) -> tuple[ApiKey, ApiKey] | None:
        entry = pipe.hget(keys.API_KEYS, key_id)
        if not entry:
            return None
        before = _decode(key_id, entry)
        if before is None:
            return None
        earlier = overlap.after_rotation(before.digest, before.earlier, now, overlap_ms)
        after = msgspec.structs.replace(before, digest=_digest(token), rotated=now, earlier=earlier)
        pipe.multi()
        pipe.hset(keys.API_KEYS, key_id, api_key.encode(after))
        return before, after

    transact: Any = client.transaction  # typed without its result
    changed: tuple[ApiKey, ApiKey] | None = transact(change, keys.API_KEYS, value_from_callable=True)
    if changed is None:
        return None
    before, after = changed
    kept = {one.value for one in after.earlier}
    last_used.forget(client, key_id, *(one for one in _all_digests(before) if one not in kept))
    return NewApiKey(after, token)


def revoke(client: redis.Redis, key_id: str) -> bool:
    """Revoke a key immediately; returns whether it existed."""
    entry = rows.entry(client, keys.API_KEYS, key_id)
    client.delete(keys.api_rate(key_id))
    revoked = bool(client.hdel(keys.API_KEYS, key_id))
    if entry and (known := _decode(key_id, entry)):
        last_used.forget(client, key_id, *_all_digests(known))
    return revoked


def revoke_all(client: redis.Redis, producer: str) -> int:
    """Revoke all keys of a producer; returns how many."""
    return sum(revoke(client, one.id) for one in list_keys(client, producer))


def list_keys(client: redis.Redis, producer: str = "") -> list[ApiKey]:
    """Return the keys of a producer, or all keys, the oldest first."""
    found = rows.table(client, keys.API_KEYS)
    every = [_decode(name, entry) for name, entry in found.items()]
    return sorted((one for one in every if one and producer in ("", one.producer)), key=lambda one: (one.made, one.id))


def authenticate(client: redis.Redis, token: str, now: int) -> ApiKey | None:
    """Return the key of a token, or None; compares with all valid secrets in constant time, and notes the use."""
    prefix, _, rest = token.partition("_")
    key_id = rest.partition("_")[0]
    if prefix != PREFIX or not key_id or not token.isascii():
        return None
    key = read(client, key_id, now)
    if key is None:
        return None
    given = _digest(token)
    matching = [one for one in key.digests(now) if hmac.compare_digest(given, one)]
    if not matching:
        return None
    last_used.note(client, key.id, matching[0], now)
    return key


def read(client: redis.Redis, key_id: str, now: int) -> ApiKey | None:
    """Return the key with an id, or None if it was revoked or is expired."""
    entry = rows.entry(client, keys.API_KEYS, key_id)
    key = _decode(key_id, entry) if entry else None
    return key if key and not 0 < key.expires <= now else None


def _decode(key_id: bytes | str, entry: bytes) -> ApiKey | None:
    """Return a stored key; None for an unreadable one, which counts as absent."""
    return rows.decode(keys.API_KEYS, key_id, entry, api_key.decode)


def take(client: redis.Redis, key: ApiKey, now: int, units: int = 1, *, owed: bool = False) -> int:
    """Take units of the rates of a key and its producer; returns 0, or the milliseconds until a unit is available.

    ``owed``: take them even if too few are available, so that a long list waits only once.  All keys of a producer
    share its rate, so that more keys send no more.
    """
    if units < 1:
        return 0
    if wait := _take(client, key.id, key.rate, now, units, owed=owed):
        return wait
    registered = registry.read(client, key.producer)
    wait = _take(client, f"@{key.producer}", registered.rate, now, units, owed=owed) if registered else 0
    if wait:  # refused after all, so that the key owes nothing
        _take(client, key.id, key.rate, now, -units, owed=owed)
    return wait


def _take(client: redis.Redis, name: str, rate: float, now: int, units: int, *, owed: bool) -> int:
    if not rate:
        return 0
    return _access(
        client,
        bucket=keys.api_rate(name),
        now=now,
        a_second=rate,
        most=max(1.0, rate),
        units=units,
        owed=owed,
    )


class Holder:
    """Who sends a message or a list with a key: the rights of the key, and how much of lane 1 a list may take.

    A list costs one wait however long it is, so a key with a low rate could put thousands of messages before the codes
    of others.  A key without a rate has no limit.
    """

    __slots__ = ("_codes_left", "key")

    def __init__(self, key: ApiKey, *, is_list: bool = False) -> None:
        """Take the key."""
        self.key = key
        self._codes_left = max(MOST_CODES, int(key.rate)) if is_list and key.rate else None

    def refuse(self, message: Message) -> Refusal | None:
        """Refuse a message that exceeds the rights, or the share of lane 1 that is left."""
        refusal = refuse(message, self.key)
        if refusal or message.lane != keys.LANES[0] or self._codes_left is None:
            return refusal
        self._codes_left -= 1
        if self._codes_left >= 0:
            return None
        most = max(MOST_CODES, int(self.key.rate))
        problem = f"a list may have {most} messages of lane {keys.LANES[0]} with this key"
        return Refusal(code=Code.INVALID, field="lane", problem=problem, remedy=_LATER, owner=Owner.PRODUCER)


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
    if key.countries and (where := country(message.to)) not in key.countries:
        return countries.refuse(where, key.countries, "this key", "threelane producers key make, with --countries")
    if message.bypasses and not key.bypass:
        problem = "this key may not send to recipients who opted out"
        return _no_right(message.bypasses, problem, "leave it out", grantable=True)
    return None


def _no_right(field: str, problem: str, remedy: str, *, grantable: bool = False) -> Refusal:
    more = ", or ask an operator for a key with this right: threelane producers key make" if grantable else ""
    return Refusal(code=Code.INVALID, field=field, problem=problem, remedy=remedy + more, owner=Owner.OPERATOR)


def _either(values: Iterable[object]) -> str:
    return " or ".join(map(str, values))


def _limited(rights: dict[str, Any], *, unlimited: bool) -> dict[str, Any]:
    """Return the rights with all limits; raises MissingLimits if some are missing and may not be."""
    missing = [one for one in LIMITS if not rights.get(one.field)]
    if missing and not unlimited:
        raise MissingLimits(missing)
    return rights | {one.field: one.unlimited for one in missing}


def _checked(rights: dict[str, Any]) -> dict[str, Any]:
    """Return the rights, parsed by the rules of the message fields."""
    lanes = tuple(sorted(set(rights["lanes"])))
    if not set(lanes) <= set(keys.LANES):
        raise ValueError(f"lanes {_either(lanes)}: give 1, 2 or 3")
    for name, parse in (("senders", senders.parse), ("cost_centres", fields.label)):
        rights[name] = tuple(_read(parse(one, name)) for one in rights.get(name) or ())
    if named := rights.get("countries"):
        rights["countries"] = countries.parse_countries(",".join(named))
    if not 0 <= rights["rate"] <= registry.MOST_RATE:
        raise ValueError(f"rate {rights['rate']:g}: give more than 0 and up to {registry.MOST_RATE:g} a second")
    if rights.get("numbers"):
        rights["numbers"] = str(parse_reading(rights["numbers"]))
    rights["note"] = rights.get("note", "")[:MOST_NOTE]
    return {"evidence": False} | rights | {"lanes": lanes}


def _all_digests(key: ApiKey) -> tuple[str, ...]:
    return (key.digest, *(one.value for one in key.earlier))


def _new_token(key_id: str) -> str:
    return f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"


def _read(parsed: Any) -> str:
    if isinstance(parsed, Refusal):
        raise ValueError(f"{parsed.field}: {parsed.problem}; {parsed.remedy}")
    return str(parsed)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
