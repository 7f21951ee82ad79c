"""Countries: the countries that messages were sent to, and the first message to each.

A country that gets its first message is ``new``, which is an alarm for a day, unless an operator allowed it before.
An installation learns its countries for 7 days from its first message: those, and countries that charges are known
of, are ``learned``.  Producers remember the countries that they have seen for a minute, so that a message costs Redis
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from enum import StrEnum
from typing import Any

import msgspec
import redis

from threelane.contract.schedule import DAY
from threelane.store import audit, keys, rows

KIND = "countries"
"""What the audit log calls these changes."""
LEARNING = "*"
SEEN_MS = 60_000
NEW_MS = DAY


class Sighting(StrEnum):
    """Whether a country was expected when its first message came."""

    NEW = "new"
    LEARNED = "learned"
    ALLOWED = "allowed"


class FirstMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first message to a country: when (ms) and by which producer; 0 if an operator allowed it before any."""

    first: int = 0
    producer: str = ""
    state: Sighting = Sighting.NEW


read_row = msgspec.json.Decoder(FirstMessage).decode


def check_row(name: bytes, value: bytes) -> None:
    """Raise ValueError for an unreadable row."""
    if name.decode() == LEARNING:
        int(value)
    else:
        read_row(value)


class SeenCountries:
    """The countries that a process has seen within the last minute."""

    __slots__ = ("_seen", "_since")

    def __init__(self) -> None:
        """Start with none."""
        self._seen: set[str] = set()
        self._since = 0

    def others(self, countries: Set[str], now: int) -> list[str]:
        """Return the countries that it has not seen; ``now`` is Unix time in milliseconds."""
        if not 0 <= now - self._since < SEEN_MS:
            self._seen, self._since = set(), now
        return [] if countries <= self._seen else sorted(countries - self._seen)

    def add(self, country: str) -> None:
        """Note a country that Redis knows."""
        self._seen.add(country)


def read_all(client: redis.Redis) -> dict[str, FirstMessage]:
    """Return the first message to each country, the latest first."""
    found = decode(rows.table(client, keys.COUNTRIES))
    return dict(sorted(found.items(), key=lambda one: (-one[1].first, one[0])))


def decode(entries: Mapping[bytes, bytes]) -> dict[str, FirstMessage]:
    """Return the readable rows of the hash ``tl:countries``, without the end of learning."""
    named = ((rows.text(name), value) for name, value in entries.items())
    found = {name: rows.decode(keys.COUNTRIES, name, value, read_row) for name, value in named if name != LEARNING}
    return {name: one for name, one in found.items() if one}


def new(client: redis.Redis, now: int) -> dict[str, FirstMessage]:
    """Return the countries whose first message came within a day, and which nobody expected."""
    found = read_all(client)
    return {name: one for name, one in found.items() if one.state is Sighting.NEW and now - one.first < NEW_MS}


def learning_until(client: redis.Redis) -> int:
    """Return until when countries are learned without an alarm (ms); 0 before the first message."""
    return rows.number(rows.entry(client, keys.COUNTRIES, LEARNING))


def stop_learning(client: redis.Redis, now: int) -> None:
    """Raise the alarm for each new country from now on."""
    client.hset(keys.COUNTRIES, LEARNING, now)
    audit.record(client, KIND, "learning ends: each new country raises the alarm")


def allow(client: redis.Redis, countries: Collection[str]) -> None:
    """Note that messages to these countries are expected: no alarm, and an alarm that was raised ends."""

    def change(pipe: Any) -> None:
        known = decode(rows.table(pipe, keys.COUNTRIES))
        allowed = (msgspec.structs.replace(known.get(one, FirstMessage()), state=Sighting.ALLOWED) for one in countries)
        pipe.multi()
        pipe.hset(keys.COUNTRIES, mapping=dict(zip(countries, map(msgspec.json.encode, allowed), strict=True)))

    client.transaction(change, keys.COUNTRIES)
    audit.record(client, KIND, f"{', '.join(countries)}: expected, without an alarm")
