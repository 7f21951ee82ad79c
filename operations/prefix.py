"""Prefix: holds, prices and the staging allow-list for numbers that begin with a prefix."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import redis

from threelane.contract import prices
from threelane.contract.accounts.account import shown
from threelane.contract.prices import CREDIT
from threelane.store import accounts, keys, rows
from threelane.store.keys import Space
from threelane.worker.account import hold
from threelane.worker.account.hold import Held
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.call import allows


class Prefix(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix or a whole number: ``price`` in credits per part, ``held_by`` the scopes of its holds.

    ``allowed``: whether THREELANE_ALLOW_ONLY, if set, lets such numbers through: yes, no or some.
    """

    prefix: str
    country: str
    price: float
    held_by: tuple[str, ...]
    allowed: str


class AllPrefixes(msgspec.Struct, frozen=True, kw_only=True):
    """All prefixes with a hold, a price or an allow-list entry; credits per part, ``learned`` by country."""

    held: dict[str, Held]
    priced: dict[str, float]
    learned: dict[str, float]
    allow_only: tuple[str, ...]


def look(client: redis.Redis, digits: str, now: int, settings: WorkerSettings, space: Space) -> Prefix:
    """Return what applies to a prefix in an account; raises ValueError when it is not a prefix."""
    prefix = hold.parse_scope(f"prefix:{digits.strip()}").partition(":")[2]
    held = hold.holds(client, now, space)
    known = prices.parse(_given(client, settings, space)).with_learned(_learned(client, space))
    return Prefix(
        prefix=prefix,
        country=prices.country(prefix),
        price=known.price(prefix) / CREDIT,
        held_by=tuple(sorted(scope for scope in held if scope == "account" or _covers(scope, prefix))),
        allowed=_allowed(prefix, settings.allow_only),
    )


def every(client: redis.Redis, now: int, settings: WorkerSettings, space: Space) -> AllPrefixes:
    """Return all prefixes of an account with a hold, a price or an allow-list entry."""
    learned = prices.Prices({}).with_learned(_learned(client, space)).learned
    held = {scope: one for scope, one in hold.holds(client, now, space).items() if scope.startswith("prefix:")}
    given = prices.parse(_given(client, settings, space)).given
    return AllPrefixes(
        held=held,
        priced={prefix: price / CREDIT for prefix, price in given.items()},
        learned={name: price / CREDIT for name, price in sorted(learned.items())},
        allow_only=settings.allow_only,
    )


def _learned(client: redis.Redis, space: Space) -> dict[bytes, bytes]:
    return dict(rows.table(client, keys.names(space).PRICES))


def _given(client: redis.Redis, settings: WorkerSettings, space: Space) -> str:
    """Return the configured prices of an account: those of these settings, or as workers publish them."""
    published = accounts.read(client).routing.accounts.get(shown(space.account))
    return published.prices if published and space != settings.space else settings.prices


def _covers(scope: str, prefix: str) -> bool:
    kind, _, begins = scope.partition(hold.OF_PRODUCER)[0].partition(":")
    return kind == "prefix" and prefix.startswith(begins)


def _allowed(prefix: str, allow_only: Sequence[str]) -> str:
    if allows(allow_only, prefix):
        return "yes"
    return "some" if any(one.startswith(prefix) for one in allow_only) else "no"
