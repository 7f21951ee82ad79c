"""Templates: texts with placeholders, stored by name and version; a version never changes.

The hash ``tl:templates`` has a row for each version, ``<name>@<version>``, and one for each name, whose number of the
last version outlives the versions: no number is used for a second text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import redis

from threelane.contract.invisible import is_invisible
from threelane.contract.refusal import Refusal
from threelane.contract.template_fields import NAME, is_version, parse_reference, split
from threelane.store import audit, keys, rows

MOST_LETTERS = 10_000
MOST_ROWS = 10_000


class StoredTemplate(msgspec.Struct, frozen=True):
    """One version of a template; ``is_damaged``: its row is unreadable, so it has no text."""

    name: str
    version: int
    text: str = ""
    stored_at: int = 0  # ms
    stored_by: str = ""
    is_damaged: bool = False

    @property
    def reference(self) -> str:
        """Its name and version, by which a message names it."""
        return f"{self.name}@{self.version}"


class _Version(msgspec.Struct, frozen=True):
    """The row of a version."""

    text: str
    at: int = 0
    by: str = ""


class _Name(msgspec.Struct, frozen=True):
    """The row of a name: the last number that was used, and the newest version that there is, 0 if there is none."""

    last: int
    newest: int


_read_version = msgspec.json.Decoder(_Version).decode
_read_name = msgspec.json.Decoder(_Name).decode


def put(client: redis.Redis, name: str, text: str, *, now: int, who: str = "") -> tuple[StoredTemplate, bool]:
    """Store a text as the next version of a template, and return it, and whether it is new.

    The text of the newest version again is the same version.  Raises ValueError for an invalid name or a long text.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a template: up to 64 letters, digits, spaces and . _ : / -")
    if is_invisible(text):
        raise ValueError("the text shows nothing: give a template a text")
    if len(text) > MOST_LETTERS:
        raise ValueError(f"{len(text):,} characters: a template has at most {MOST_LETTERS:,}")

    def change(pipe: Any) -> tuple[StoredTemplate, bool]:
        stored = pipe.hgetall(keys.TEMPLATES)
        versions = _versions(stored, name)
        if versions and versions[-1].text == text and not versions[-1].is_damaged:
            pipe.multi()
            return versions[-1], False
        if len(stored) >= MOST_ROWS:
            raise ValueError(f"{len(stored):,} rows are stored, the most there may be: threelane template remove")
        known = _name_row(name, stored.get(name.encode()))
        last = max([known.last if known else 0, *(one.version for one in versions)])
        made = StoredTemplate(name, last + 1, text, now, who or audit.user())
        pipe.multi()
        pipe.hset(keys.TEMPLATES, made.reference, msgspec.json.encode(_Version(text, now, made.stored_by)))
        pipe.hset(keys.TEMPLATES, name, msgspec.json.encode(_Name(made.version, made.version)))
        audit.add(pipe, "template", f"{made.reference} stored", made.stored_by)
        return made, True

    done: tuple[StoredTemplate, bool] = _transact(client, change)
    return done


def remove(client: redis.Redis, reference: str, *, who: str = "") -> list[str]:
    """Remove one version, or without a version all of them; returns what was removed, as name@version.

    Messages that were accepted have their text already.
    """
    name, wanted = split(_checked(reference))

    def change(pipe: Any) -> list[str]:
        stored = pipe.hgetall(keys.TEMPLATES)
        versions = _versions(stored, name)
        removed = [one for one in versions if wanted in (0, one.version)]
        left = [one.version for one in versions if one not in removed]
        known = _name_row(name, stored.get(name.encode()))
        last = max([known.last if known else 0, *(one.version for one in versions)])
        pipe.multi()
        if removed:
            pipe.hdel(keys.TEMPLATES, *(one.reference for one in removed))
            pipe.hset(keys.TEMPLATES, name, msgspec.json.encode(_Name(last, max(left, default=0))))
            audit.add(pipe, "template", f"{', '.join(one.reference for one in removed)} removed", who)
        return [one.reference for one in removed]

    done: list[str] = _transact(client, change)
    return done


def find(client: redis.Redis, references: Sequence[str]) -> list[StoredTemplate | None]:
    """Return templates by name and version, or the newest version of a name; None for those that are not stored."""
    named = [split(one) for one in references]
    newest = _newest(client, [name for name, version in named if not version])
    wanted = [(name, version or newest.get(name, 0)) for name, version in named]
    found = _hmget(client, [f"{name}@{version}" for name, version in wanted])
    return [_template(*one, row) for one, row in zip(wanted, found, strict=True)]


def find_one(client: redis.Redis, reference: str) -> StoredTemplate | None:
    """Return a template by its name and version, as ``find`` does; raises ValueError for an invalid reference."""
    return find(client, [_checked(reference)])[0]


def listed(client: redis.Redis, name: str = "") -> list[StoredTemplate]:
    """Return all versions of all templates, or of one, sorted by name and version."""
    stored = rows.table(client, keys.TEMPLATES)
    names = {rows.text(one).partition("@")[0] for one in stored}
    return [one for each in sorted(names) if not name or each == name for one in _versions(stored, each)]


def check_row(name: bytes, value: bytes) -> None:
    """Raise ValueError for an unreadable row of the table."""
    if b"@" in name:
        _checked(name.decode())
        _read_version(value)
    else:
        _read_name(value)


def _checked(reference: str) -> str:
    parsed = parse_reference(reference, "template")
    if isinstance(parsed, Refusal):
        raise ValueError(f"{parsed.problem}: {parsed.remedy}")
    return parsed


def _newest(client: redis.Redis, names: Sequence[str]) -> dict[str, int]:
    found = [_name_row(name, row) for name, row in zip(names, _hmget(client, names), strict=True)]
    return {name: row.newest for name, row in zip(names, found, strict=True) if row}


def _hmget(client: redis.Redis, fields: Sequence[str]) -> list[bytes | None]:
    if not fields:
        return []
    found: list[bytes | None] = rows.unless_damaged(
        keys.TEMPLATES, lambda: client.hmget(keys.TEMPLATES, fields), [b""] * len(fields)
    )
    return found


def _versions(stored: Mapping[bytes, bytes], name: str) -> list[StoredTemplate]:
    """Return the versions of a template in the table, the oldest first."""
    pairs = ((rows.text(row).partition("@"), value) for row, value in stored.items())
    own = [(int(version), value) for (of, at, version), value in pairs if of == name and at and is_version(version)]
    found = (_template(name, version, value) for version, value in sorted(own, key=lambda one: one[0]))
    return [one for one in found if one]


def _template(name: str, version: int, row: bytes | None) -> StoredTemplate | None:
    if row is None:
        return None
    read = rows.decode(keys.TEMPLATES, f"{name}@{version}", row, _read_version)
    if read is None:
        return StoredTemplate(name, version, is_damaged=True)
    return StoredTemplate(name, version, read.text, read.at, read.by)


def _name_row(name: str, row: bytes | None) -> _Name | None:
    return None if row is None else rows.decode(keys.TEMPLATES, name, row, _read_name)


def _transact(client: redis.Redis, change: Any) -> Any:
    transact: Any = client.transaction  # typed without its result
    return transact(change, keys.TEMPLATES, value_from_callable=True)
