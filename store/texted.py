"""Texted: marks of which producer last texted a person from a number, for replies that name no message.

A mark is a field of a small hash: the person's digest and our number, with the producer as its value.  Each day has
4,096 such hashes, so that Redis stores up to two million marks in compact form, and frees them a few at a time.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b

import redis

from threelane.contract.reply_address import number_of
from threelane.contract.schedule import DAY, HORIZON
from threelane.contract.subscriber import subscriber
from threelane.store import keys, rows
from threelane.store.keys import HERE, Space, TextedKey
from threelane.store.spaces import spaces

DAYS = 7
"""How long a reply finds the producer that texted; the day of the text counts as one."""
KEPT_MS = DAYS * DAY
_BUCKET_LETTERS = 2  # of 64 characters each


@cache
def no_key(space: Space) -> TextedKey:
    """Return the key for no mark, which never exists."""
    return keys.texted(0, "", space)


def mark(person: str, sender: str, at: int, space: Space = HERE) -> tuple[TextedKey, str]:
    """Return key and field of the mark for a message to a person; an empty field if nobody can reply to its sender."""
    number = number_of(sender) if sender else ""
    if sender and not number:
        return no_key(space), ""
    digest = _digest(person)
    return keys.texted(at // DAY, digest[:_BUCKET_LETTERS], space), digest[_BUCKET_LETTERS:] + number


def places(person: str, number: str, now: int, space: Space = HERE) -> Iterator[tuple[TextedKey, tuple[str, str]]]:
    """Yield where a mark for a reply may be, the latest first: keys, and the fields of this number and the default."""
    rest = _digest(person)[_BUCKET_LETTERS:]
    for key in keys_of(person, now // DAY, space=space):
        yield key, (rest + number, rest)


def keys_of(person: str, last_day: int, days: int = DAYS, space: Space = HERE) -> Iterator[TextedKey]:
    """Yield the keys that may hold marks of a person of these days, the latest first."""
    bucket = _digest(person)[:_BUCKET_LETTERS]
    for days_ago in range(days):
        yield keys.texted(last_day - days_ago, bucket, space)


def forget(client: redis.Redis, person: str, now: int) -> None:
    """Delete all marks of a person, of all accounts, also for messages that the gateway sends later."""
    start = _digest(person)[_BUCKET_LETTERS:].encode()
    ahead = HORIZON // DAY + 1
    days = DAYS + ahead
    for key in (key for space in spaces(client) for key in keys_of(person, now // DAY + ahead, days, space)):
        fields = rows.unless_damaged(key, lambda key=key: client.hkeys(key), [])  # type: ignore[misc]
        if found := [field for field in fields if field.startswith(start)]:
            client.hdel(key, *found)


def _digest(person: str) -> str:
    """Return 48 bits of a digest of a person's identity, as 8 letters."""
    return urlsafe_b64encode(blake2b(subscriber(person).encode(), digest_size=6).digest()).decode()
