"""Lua: the source of a script, put together from its parts, with every name in it checked and filled in.

A script names what it shares with Python by ``Namespace.member``: ``Field.status``, ``Count.accepted``,
``Status.queued``; ``KEY.holds`` is a key, ``ARG.now`` an argument, ``Report.charge`` the place of a value in one of a
list of arguments.  These are filled in before Redis sees the source, so an unknown name is an error when the module is
loaded, and a known one costs nothing when the script runs.  ``known`` is a record's fields by name, and is checked.

``-- PARTS move, suppression`` in front of a file includes these parts, and theirs, once each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from threelane.store.events import EventField, EventType
from threelane.store.keys import INDEXES, Key
from threelane.store.places import Places, UnknownName
from threelane.store.rates import Rate
from threelane.store.record import Field
from threelane.store.signature import Signature
from threelane.store.states import MAY_FOLLOW, Status
from threelane.store.tally import Count

PARTS = Path(__file__).with_name("parts")
NAMES: tuple[type[Enum], ...] = (Field, Count, Status, Rate, EventField, EventType)
"""The enumerations that every script may name."""

PERIODS = "periods"  # the argument that comes with the keys of what is spent in them
_SKIPPED = r"--[^\n]*|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""
_NAME = re.compile(
    rf"{_SKIPPED}|(?<![\w.])(?:(?P<many>#)?(?P<of>[A-Z]\w*)\.(?P<name>\w+)(?P<one>\[)?|known\.(?P<known>\w+))"
)
_PARTS = re.compile(r"^-- PARTS +(.+)$", re.MULTILINE)
_FIELDS = frozenset(member.value for member in Field)


@dataclass(frozen=True, slots=True)
class Source:
    """A script as Redis gets it; ``fixed`` are the keys that no caller names, in the order of KEYS."""

    text: str
    fixed: tuple[tuple[Key, str], ...]
    has_periods: bool
    begins: tuple[tuple[int, str], ...]  # first line of each file in the text, and its name

    def where(self, line: int) -> str:
        """Return the file and line that a line of the text came from."""
        first, name = max(begin for begin in self.begins if begin[0] <= line)
        return f"{name}:{line - first + 1}"


def compose(file: Path, signature: Signature, names: Sequence[type[Enum]], head: str) -> Source:
    """Return the source of a script; raises UnknownName for a name in it that is not there."""
    files = list(_with_parts(file))
    places = Places.assign((name for path in files for name in _keys_named(_read(path))), signature)
    arguments = (*signature.arguments, PERIODS) if places.has_periods else signature.arguments
    if places.has_periods and "now" not in signature.arguments:
        raise UnknownName(f"{file.name}: what is spent needs the argument now")
    spaces: dict[str, Mapping[str, str]] = {"KEY": places.of, "ARG": _places("ARGS", arguments)}
    spaces |= {name: {value: str(at) for at, value in enumerate(values, 1)} for name, values in signature.items.items()}
    spaces |= {enum.__name__: _literals(enum) for enum in (*NAMES, *names)}
    spaces["Table"] = {"may_follow": _may_follow(), "indexes": _indexes(places.of)}
    texts, begins = [head, "local ARGS = cmsgpack.unpack(ARGV[1])\n" if arguments else "\n"], [(1, "the head")]
    for path in files:
        begins.append((1 + "".join(texts).count("\n"), path.name))
        texts.append(_filled(path, spaces, places.lengths))
    return Source("".join(texts), tuple(places.fixed), places.has_periods, tuple(begins))


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _with_parts(file: Path, seen: set[Path] | None = None) -> Iterator[Path]:
    """Yield a file behind all parts that it needs."""
    seen = set() if seen is None else seen
    for part in _PARTS.findall(_read(file)):
        for name in part.split(","):
            path = PARTS / f"{name.strip()}.lua"
            if path not in seen:
                seen.add(path)
                yield from _with_parts(path, seen)
    yield file


def _keys_named(text: str) -> Iterator[str]:
    for found in _NAME.finditer(text):
        if found["of"] == "KEY":
            yield found["name"]
        elif (found["of"], found["name"]) == ("Table", "indexes"):
            yield from (key.name.lower() for key in INDEXES.values())


def _places(table: str, names: Sequence[str]) -> dict[str, str]:
    return {name: f"{table}[{at}]" for at, name in enumerate(names, 1)}


def _literals(enum: type[Enum]) -> dict[str, str]:
    return {member.name.lower(): f"'{member.value}'" for member in enum}


def _may_follow() -> str:
    return _table({was: _table(dict.fromkeys(sorted(after), "true")) for was, after in MAY_FOLLOW.items()})


def _indexes(places: Mapping[str, str]) -> str:
    return _table({status: places.get(key.name.lower(), "nil") for status, key in INDEXES.items()})


def _table(values: Mapping[Any, str]) -> str:
    rows = ", ".join(f"['{name}'] = {value}" for name, value in values.items())
    return f"{{{rows}}}"


def _filled(path: Path, spaces: Mapping[str, Mapping[str, str]], lengths: Mapping[str, str]) -> str:
    def fill(found: re.Match[str]) -> str:
        space, name, known = found["of"], found["name"], found["known"]
        if known is not None and known not in _FIELDS:
            raise UnknownName(f"{path.name}: known.{known} is no field of a record")
        if not found["of"]:
            return found[0]
        if found["many"] and name in lengths:
            return lengths[name]
        filled = spaces.get(space, {}).get(name)
        if filled is None:
            raise UnknownName(f"{path.name}: {space}.{name}")
        one_of_several = filled.endswith("+ ")
        if one_of_several and not found["one"]:
            raise UnknownName(f"{path.name}: {space}.{name} is several keys: which one is meant?")
        return (found["many"] or "") + filled + ("" if one_of_several else found["one"] or "")

    return _NAME.sub(fill, _read(path))
