"""The Lua files keep to the contract: names, records, keys and time come to them one way only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.layout import FOLDERS, ROOT
from threelane.store import lua
from threelane.store.events import EventField
from threelane.store.keys import KINDS, PREFIX, Key
from threelane.store.rates import Rate
from threelane.store.record import Field
from threelane.store.states import Status
from threelane.store.tally import Count

PARTS = lua.PARTS.resolve()
FILES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.lua"))
SCOPE_OF_HOLDS = {"account"}  # also the name of a field
NAMES = {str(name) for names in (Field, Status, EventField, Rate) for name in names} - SCOPE_OF_HOLDS
_COMMENT = re.compile(r"--[^\n]*")
_LITERAL = re.compile(r"'((?:\\.|[^'\\\n])*)'|\"((?:\\.|[^\"\\\n])*)\"")
_ON_A_RECORD = re.compile(r"redis\.p?call\('\w+', *(?:record\b|KEY\.record|KEY\.related)")


def problems(text: str, *, of_records: bool = False) -> Iterator[str]:
    """Yield what a source does that it must not; ``of_records``: it is the part that reads and writes them."""
    code = _COMMENT.sub("", text)
    for found in _LITERAL.finditer(code):
        literal = found[1] if found[1] is not None else found[2]
        if literal in NAMES:
            yield f"{literal!r} is a name of Field, Status, EventField or Rate"
        if any(literal.startswith(str(family)) for family in Count if family.labels) or literal in set(Count):
            yield f"{literal!r} is a count"
        if literal.startswith(PREFIX) or literal.rstrip(":") in {str(key) for key in Key if not KINDS[key].suffix}:
            yield f"{literal!r} is a key"
    for command in ("TIME", "INFO", "KEYS", "SCAN", "CONFIG"):
        if f"call('{command}'" in code:
            yield f"{command} is the server's own"
    for raw in re.findall(r"\b(?:KEYS|ARGV)\b", code):
        yield f"{raw} by number"
    if not of_records and _ON_A_RECORD.search(code):
        yield "a record is read or written beside record.lua"
    if "[[" in code or "--[[" in text:
        yield "long brackets, which lua.py does not read"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_script_names_nothing_by_a_literal_and_calls_no_clock(file: Path) -> None:
    """The form of a record, the names of keys and the clock may change without a change to every script."""
    text = file.read_text(encoding="utf-8")

    assert [] == list(problems(text, of_records=file == PARTS / "record.lua"))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("if known.status == 'queued' then return 1 end", "'queued' is a name"),
        ("count('refused:302')", "'refused:302' is a count"),
        ("count('stale_settle')", "'stale_settle' is a count"),
        ("redis.call('ZADD', 'tl:due', 1, 'x')", "'tl:due' is a key"),
        ("redis.call('HGET', 'balance', 'x')", "'balance' is a key"),
        ("return redis.call('TIME')[1]", "TIME is the server's own"),
        ("return KEYS[1]", "KEYS by number"),
        ("redis.call('HSET', record, Field.status, to)", "beside record.lua"),
        ("redis.call('PEXPIRE', KEY.records[i], 5)", "beside record.lua"),
    ],
)
def test_a_forbidden_call_in_a_script_is_found(source: str, problem: str) -> None:
    """Otherwise the test above would show nothing."""
    assert [True] == [problem in found for found in problems(source)]


@pytest.mark.parametrize("file", [file for file in FILES if file.parent != PARTS], ids=lambda file: file.name)
def test_a_script_uses_each_part_that_it_includes(file: Path) -> None:
    """What is included is compiled and run; a part that is not used is a mistake, or a remainder."""
    text = file.read_text(encoding="utf-8")
    for part in ", ".join(re.findall(r"^-- PARTS +(.+)$", text, re.MULTILINE)).split(", "):
        if part:
            functions = re.findall(
                r"^(?:  )?(?:local )?function (\w+)", (PARTS / f"{part}.lua").read_text(), re.MULTILINE
            )
            assert any(re.search(rf"\b{name}\(", text) for name in functions), part


@pytest.mark.parametrize("file", [file for file in FILES if file.parent != PARTS], ids=lambda file: file.name)
def test_a_script_begins_with_its_arguments_and_results(file: Path) -> None:
    """The reader knows its contract before its first line."""
    header = file.read_text(encoding="utf-8").partition("\nlocal ")[0]

    assert re.search(r"^-- (?:KEYS|ARG) ", header, re.MULTILINE)
    assert re.search(r"^-- ->  ", header, re.MULTILINE)
