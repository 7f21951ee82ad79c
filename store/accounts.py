"""Accounts: the accounts and routes that workers publish, and which accounts are drained; nothing of it is secret.

Producers have no accounts file: a worker publishes its own at its start.  While the installation has one account,
nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import redis
import redis.asyncio

from threelane.contract.accounts import routing as routings
from threelane.contract.accounts.account import DEFAULT, nearest
from threelane.contract.accounts.routing import Routing
from threelane.store import audit, keys, rows

KIND = "account"
"""What the audit log calls these changes."""
IN_USE, DRAINED = "in use", "drained"


class AccountsField(StrEnum):
    """The fields of ``tl:accounts``; the accept script reads the version alone."""

    VERSION = "version"  # a digest of the two that follow; absent while there is nothing to choose
    ROUTING = "routing"  # the JSON of a Routing; absent: one account, the default one
    DRAINED = "drained"  # JSON: list of Drained
    KNOWN = "known"  # JSON: list of all names that were ever published, since their messages may still be stored


class Drained(msgspec.Struct, frozen=True):
    """An account that takes nothing new; since when (ms, by the clock of Redis) and by whom."""

    name: str
    since: int
    by: str


class Published(NamedTuple):
    """What was published, and the drained accounts by name.

    ``is_damaged``: it cannot be read, so the account of no message is known; the next worker to start publishes again.
    """

    version: str = ""
    routing: Routing = Routing()
    drained: Mapping[str, Drained] = {}
    is_damaged: bool = False


class UnknownAccount(ValueError):
    """There is no such account; the text says which there are."""


_decode_drained = msgspec.json.Decoder(list[Drained]).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
_READ = [AccountsField.VERSION, AccountsField.ROUTING, AccountsField.DRAINED]


def read(client: redis.Redis) -> Published:
    """Return what is published; without accounts, if the installation has one."""
    return _published(rows.unless_damaged(keys.ACCOUNTS, lambda: client.hmget(keys.ACCOUNTS, _READ), None))


async def read_async(client: redis.asyncio.Redis) -> Published:
    """Do the same on an asyncio client."""
    return _published(await rows.unless_damaged_async(keys.ACCOUNTS, client.hmget(keys.ACCOUNTS, _READ)))


def publish(client: redis.Redis, routing: Routing) -> bool:
    """Publish accounts and routes; returns whether they differ from what was published before.

    Drained accounts remain drained.  Names that are no longer used remain known.
    """
    return _change(client, lambda was: was._replace(routing=None if routing.is_one else routings.encode(routing)))


def drain(client: redis.Redis, name: str, who: str) -> bool:
    """Let an account take nothing new; returns whether it did until now.  Raises UnknownAccount."""
    _require(name, [*(read(client).routing.accounts or [DEFAULT])])
    seconds, microseconds = client.time()
    entry = Drained(name, seconds * 1000 + microseconds // 1000, who)
    changed = _change(
        client, lambda was: was if name in was.drained else was.with_drained({**was.drained, name: entry})
    )
    if changed:
        audit.record_change(client, KIND, name, DRAINED, IN_USE, who)
    return changed


def use(client: redis.Redis, name: str, who: str) -> bool:
    """Let a drained account take messages again; returns whether it was drained.  Raises UnknownAccount."""
    _require(name, [*names(client)])
    changed = _change(
        client, lambda was: was.with_drained({other: one for other, one in was.drained.items() if other != name})
    )
    if changed:
        audit.record_change(client, KIND, name, IN_USE, DRAINED, who)
    return changed


def _require(name: str, known: list[str]) -> None:
    if name not in known:
        raise UnknownAccount(f"there is no account {name[:40]}; {nearest(name, known)}")


def names(client: redis.Redis) -> Sequence[str]:
    """Return the names of all accounts that may have messages, the default one first."""
    return _names(rows.entry(client, keys.ACCOUNTS, AccountsField.KNOWN))


async def names_async(client: redis.asyncio.Redis) -> Sequence[str]:
    """Do the same on an asyncio client."""
    found: Any = await rows.unless_damaged_async(keys.ACCOUNTS, client.hget(keys.ACCOUNTS, AccountsField.KNOWN))
    return _names(found)


class _Stored(NamedTuple):
    """The fields from which the version follows, as stored; None: absent."""

    routing: bytes | None
    drained_row: bytes | None

    @property
    def drained(self) -> dict[str, Drained]:
        """The drained accounts; none if the row is unreadable."""
        return _drained(self.drained_row) or {}

    def with_drained(self, drained: Mapping[str, Drained]) -> _Stored:
        """Return the same with other drained accounts."""
        return self._replace(drained_row=msgspec.json.encode([*drained.values()]) if drained else None)

    @property
    def version(self) -> str:
        """The version; "" if nothing is stored."""
        if self.routing is None and self.drained_row is None:
            return ""
        return blake2b(msgspec.json.encode([self.routing, self.drained_row]), digest_size=8).hexdigest()


def _change(client: redis.Redis, change: Any) -> bool:
    """Replace what is stored by what ``change`` returns for it, with its version; returns whether they differ."""
    has_changed = False

    def attempt(pipe: Any) -> None:
        nonlocal has_changed
        fields = [AccountsField.ROUTING, AccountsField.DRAINED, AccountsField.KNOWN, AccountsField.VERSION]
        found = rows.unless_damaged(keys.ACCOUNTS, lambda: pipe.hmget(keys.ACCOUNTS, fields), None)
        routing, drained, known, version = found or [None] * len(fields)
        was = _Stored(routing, drained)
        after = change(was)
        has_changed = after != was
        pipe.multi()
        if found is None:  # another type
            pipe.delete(keys.ACCOUNTS)
        elif not has_changed and rows.text(version) == after.version:
            return
        every = {*_names(known), *_accounts(after.routing), *after.drained}
        values = {
            AccountsField.ROUTING: after.routing,
            AccountsField.DRAINED: after.drained_row,
            AccountsField.VERSION: after.version or None,
            AccountsField.KNOWN: msgspec.json.encode(sorted(every)) if every > {DEFAULT} else None,
        }
        absent = [name for name, value in values.items() if value is None]
        if absent:
            pipe.hdel(keys.ACCOUNTS, *absent)
        if len(absent) < len(values):
            pipe.hset(keys.ACCOUNTS, mapping={name: value for name, value in values.items() if value is not None})

    client.transaction(attempt, keys.ACCOUNTS)
    return has_changed


def _published(found: Sequence[bytes | None] | None) -> Published:
    if found is None:
        return Published(is_damaged=True)
    version, row, drained_row = found
    routing = rows.decode(keys.ACCOUNTS, AccountsField.ROUTING, row, routings.decode) if row else Routing()
    drained = _drained(drained_row)
    if routing is None or drained is None:
        return Published(rows.text(version), is_damaged=True)
    return Published(rows.text(version), routing, drained)


def _drained(row: bytes | None) -> dict[str, Drained] | None:
    """Return the drained accounts by name; None if the row is unreadable."""
    found = rows.decode(keys.ACCOUNTS, AccountsField.DRAINED, row, _decode_drained) if row else []
    return None if found is None else {one.name: one for one in found}


def _accounts(row: bytes | None) -> Mapping[str, Any]:
    found = rows.decode(keys.ACCOUNTS, AccountsField.ROUTING, row, routings.decode) if row else None
    return found.accounts if found else {}


def _names(row: bytes | None) -> Sequence[str]:
    found = rows.decode(keys.ACCOUNTS, AccountsField.KNOWN, row, _decode_names) if row else None
    return [DEFAULT, *(name for name in found or () if name != DEFAULT)]
