"""Lua: composes the source of a script from its parts, and checks and replaces every shared name.

A script names what it shares with Python by ``Namespace.member``: ``Field.status``, ``Count.accepted``,
``Status.queued``; ``KEY.holds`` is a key, ``ARG.now`` an argument, ``Report.charge`` the index of a value in an item of
a list argument.  The names are replaced before Redis gets the source: an unknown name is an error at import, a known
one costs nothing at run time.  ``known`` is a table of record fields, whose names are checked.

``-- PARTS move, suppression`` at the top of a file includes these parts, and their parts, once each.  A process splits
a file at its names once, however many scripts include it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from threelane.contract.subscriber import TO_FORMER, TO_PRESENT, Change, Changes
from threelane.store import limits
from threelane.store.events import EventField, EventType
from threelane.store.keys import INDEXES, Key
from threelane.store.places import Places, UnknownName
from threelane.store.rates import Rate
from threelane.store.record import BEFORE_SENT, NEEDED, SHAPES, Field
from threelane.store.signature import Signature
from threelane.store.spaces import Elsewhere
from threelane.store.states import MAY_FOLLOW, STORED, Status
from threelane.store.tally import Count
from threelane.store.waiting import SINCE, Cause

PARTS = Path(__file__).with_name("parts")
NAMES: tuple[type[Enum], ...] = (Field, Count, Status, Rate, EventField, EventType, Cause, Elsewhere)
"""The enumerations that every script may use."""

PERIODS = "periods"  # the argument with the periods of the budget keys
ACCOUNT = "account"  # the argument with the account whose keys a script has; "" is the default one
_SKIPPED = r"--[^\n]*|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""
_NAME = re.compile(
    rf"{_SKIPPED}|(?<![\w.])(?:(?P<many>#)?(?P<of>[A-Z]\w*)\.(?P<name>\w+)(?P<one>\[)?|known\.(?P<known>\w+))"
)
_FILES = "{'files'}"
_PARTS = re.compile(r"^-- PARTS +(.+)$", re.MULTILINE)
_FIELDS = frozenset(member.value for member in Field)


class Shared(NamedTuple):
    """A name in a script that is shared with Python: ``KEY.holds``, ``#KEY.records``, ``KEY.records[``."""

    of: str
    name: str
    has_length: bool  # # before it
    has_index: bool  # [ after it


@dataclass(frozen=True, slots=True)
class Source:
    """The source that Redis gets; ``fixed`` are the keys that no caller gives, in the order of KEYS."""

    text: str
    fixed: tuple[tuple[Key, str], ...]
    has_periods: bool
    has_account: bool
    is_guarded: bool  # its reply has the damaged records, too: guard.lua
    begins: tuple[tuple[int, str], ...]  # first line and name of each file in the text

    def where(self, line: int) -> str:
        """Return file and line for a line of the text."""
        first, name = max(begin for begin in self.begins if begin[0] <= line)
        return f"{name}:{line - first + 1}"


def compose(file: Path, signature: Signature, names: Sequence[type[Enum]], head: str) -> Source:
    """Return the source of a script; raises UnknownName."""
    files = list(_with_parts(file))
    places = Places.assign((name for path in files for name in _key_names(path)), signature)
    arguments = signature.arguments + ((signature.last,) if signature.last else ())
    arguments += (PERIODS,) if places.has_periods else ()
    has_account = ACCOUNT not in arguments and any(f"ARG.{ACCOUNT}" in _read(path) for path in files)
    arguments += (ACCOUNT,) if has_account else ()
    if places.has_periods and "now" not in signature.arguments:
        raise UnknownName(f"{file.name}: KEY.spent requires the argument now")
    spaces: dict[str, Mapping[str, str]] = {"KEY": places.by_name, "ARG": _places("ARGS", arguments)}
    spaces |= {name: {value: str(at) for at, value in enumerate(values, 1)} for name, values in signature.items.items()}
    spaces |= {enum.__name__: _literals(enum) for enum in (*NAMES, *names)}
    spaces["Table"] = {**_tables(), "indexes": _indexes(places.by_name)}
    texts, begins = [head, "local ARGS = cmsgpack.unpack(ARGV[1])\n" if arguments else "\n"], [(1, "the head")]
    for path in files:
        begins.append((1 + "".join(texts).count("\n"), path.name))
        texts.append(_filled(path, spaces, places.lengths))
    rows = ", ".join(f"{{{line}, '{name}'}}" for line, name in begins)
    text = "".join(texts).replace(_FILES, f"{{{rows}}}")
    is_guarded = PARTS / "guard.lua" in files
    return Source(text, tuple(places.fixed), places.has_periods, has_account, is_guarded, tuple(begins))


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _with_parts(file: Path, seen: set[Path] | None = None) -> Iterator[Path]:
    """Yield the parts of a file, then the file."""
    seen = set() if seen is None else seen
    for part in _PARTS.findall(_read(file)):
        for name in part.split(","):
            path = PARTS / f"{name.strip()}.lua"
            if path not in seen:
                seen.add(path)
                yield from _with_parts(path, seen)
    yield file


@cache
def _pieces(path: Path) -> tuple[str | Shared, ...]:
    """Return a file, split at its shared names; raises UnknownName for a field that records do not have."""
    text, pieces, end = _read(path), list[str | Shared](), 0
    for found in _NAME.finditer(text):
        if (known := found["known"]) is not None and known not in _FIELDS:
            raise UnknownName(f"{path.name}: known.{known} is not a field of a record")
        if found["of"]:
            pieces += (
                text[end : found.start()],
                Shared(found["of"], found["name"], bool(found["many"]), bool(found["one"])),
            )
            end = found.end()
    return (*pieces, text[end:])


def _key_names(path: Path) -> Iterator[str]:
    for one in _pieces(path):
        if isinstance(one, str):
            continue
        if one.of == "KEY":
            yield one.name
        elif (one.of, one.name) == ("Table", "indexes"):
            yield from (key.name.lower() for key in INDEXES.values())


def _places(table: str, names: Sequence[str]) -> dict[str, str]:
    return {name: f"{table}[{at}]" for at, name in enumerate(names, 1)}


@cache
def _literals(enum: type[Enum]) -> dict[str, str]:
    return {member.name.lower(): f"'{member.value}'" for member in enum}


@cache
def _tables() -> dict[str, str]:
    """Return the tables that are the same in every script."""
    return {
        "may_follow": _may_follow(),
        "stored": _table({status: f"'{stored}'" for status, stored in STORED.items()}),
        "since": _list(SINCE),
        "shapes": _table({name: f"FITS.{shape}" for name, shape in SHAPES.items()}),
        "needed": _table({name: f"'{when}'" for name, when in NEEDED.items()}),
        "before_sent": _table(dict.fromkeys(BEFORE_SENT, "true")),
        "spelling_starts": _table(dict.fromkeys(TO_PRESENT, "true")),
        "spellings": _table({"present": _changes(TO_PRESENT), "former": _changes(TO_FORMER)}),
        "limits": _table({name: _limit(one) for name, one in limits.DEFAULTS.items()}),
        "limit_kinds": _table({kind: _allowed(one) for kind, one in limits.KINDS.items()}),
        "periods": _table({name: str(seconds) for name, seconds in limits.PERIODS.items()}),
        "held_ms": str(limits.HELD_MS),
        "most_held": str(limits.MOST_HELD),
        "files": _FILES,  # replaced last, when the lines are known
    }


def _may_follow() -> str:
    return _table({was: _table(dict.fromkeys(sorted(after), "true")) for was, after in MAY_FOLLOW.items()})


def _indexes(places: Mapping[str, str]) -> str:
    """Return a table of functions: the index of a state, by lane."""
    found = {status: places.get(key.name.lower(), "nil") for status, key in INDEXES.items()}
    whole = {status: f"{place}lane]" if place.endswith("+ ") else place for status, place in found.items()}
    return _table({status: f"function(lane) return {place} end" for status, place in whole.items()})


def _changes(changes: Changes) -> str:
    """Return the changes of spellings by first digits and length; their patterns are those of Lua, too."""
    return _table({start: _by_length(by_length) for start, by_length in changes.items()})


def _by_length(by_length: Mapping[int, Sequence[Change]]) -> str:
    rows = (f"[{length}] = {{{', '.join(map(_change, found))}}}" for length, found in by_length.items())
    return f"{{{', '.join(rows)}}}"


def _change(change: Change) -> str:
    return f"{{'^{change.pattern.pattern}$', '{change.middle}'}}"


def _limit(limit: limits.Limit) -> str:
    return f"{{count = {limit.count}, over = '{limit.over}', lanes = '{limit.lanes}'}}"


def _allowed(allowed: limits.Allowed) -> str:
    return f"{{least = {allowed.least}, most = {allowed.most}, over = {_table(dict.fromkeys(allowed.over, 'true'))}}}"


def _list(names: Sequence[str]) -> str:
    return "{" + ", ".join(f"'{name}'" for name in names) + "}"


def _table(values: Mapping[Any, str]) -> str:
    rows = ", ".join(f"['{name}'] = {value}" for name, value in values.items())
    return f"{{{rows}}}"


def _filled(path: Path, spaces: Mapping[str, Mapping[str, str]], lengths: Mapping[str, str]) -> str:
    return "".join(one if isinstance(one, str) else _fill(one, path, spaces, lengths) for one in _pieces(path))


def _fill(shared: Shared, path: Path, spaces: Mapping[str, Mapping[str, str]], lengths: Mapping[str, str]) -> str:
    """Return what Redis gets in place of a shared name."""
    of, name, has_length, has_index = shared
    if has_length and name in lengths:
        return lengths[name]
    filled = spaces.get(of, {}).get(name)
    if filled is None:
        raise UnknownName(f"{path.name}: {of}.{name}")
    one_of_several = filled.endswith("+ ")
    if one_of_several and not has_index:
        raise UnknownName(f"{path.name}: {of}.{name} is a list of keys: add an index")
    return ("#" if has_length else "") + filled + ("[" if has_index and not one_of_several else "")
