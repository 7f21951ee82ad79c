"""Scripts are put together when their module is loaded, and a wrong name in one is found then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import redis

from threelane.store import budgets, keys
from threelane.store.keys import ApiRateKey, RecordKey, Space
from threelane.store.lua import Source, compose
from threelane.store.places import UnknownName
from threelane.store.scripts import Item, Script
from threelane.store.signature import Signature


class Report(Item, frozen=True):
    """One of a list of arguments."""

    id: str
    text: str


class Answer(StrEnum):
    """What only this script shares with Python."""

    DONE = "done"


def _look(*, records: Sequence[RecordKey], bucket: ApiRateKey, now: int, reports: Sequence[Report]) -> None: ...


Composed = Callable[[str], Source]


@pytest.fixture
def composed(tmp_path: Path) -> Composed:
    def compose_text(text: str) -> Source:
        file = tmp_path / "look.lua"
        file.write_text(text)
        return compose(file, Signature.read(_look), [Answer], "#!lua\n")

    return compose_text


@pytest.mark.parametrize(
    ("source", "unknown"),
    [
        ("return Field.statsu", "Field.statsu"),
        ("return known.statsu", "known.statsu"),
        ("return Count.acepted", "Count.acepted"),
        ("return Status.queud", "Status.queud"),
        ("return KEY.hold", "KEY.hold"),
        ("return ARG.later", "ARG.later"),
        ("return Answer.never", "Answer.never"),
        ("for _, one in ipairs(ARG.reports) do return one[Report.txt] end", "Report.txt"),
        ("return Feild.status", "Feild.status"),
        ("return KEY.records", "KEY.records"),
        ("return KEY.queued", "KEY.queued"),
        ("return KEY.session", "KEY.session"),
        ("return KEY.spent", "KEY.spent"),
    ],
)
def test_a_wrong_name_is_an_error_when_the_module_is_loaded(composed: Composed, source: str, unknown: str) -> None:
    """In Lua it would be nil, and the message would be lost on an untested path."""
    with pytest.raises(UnknownName, match=unknown.replace(".", r"\.")):
        composed(f"-- PARTS record\n{source}\n")


def test_names_in_texts_and_comments_are_left_alone(composed: Composed) -> None:
    """A sentence may speak of Field.nothing."""
    text = "return 'Field.nothing' -- Count.nothing\n"

    assert composed(text).text.endswith(text)


def test_only_the_keys_that_a_source_names_are_declared(composed: Composed) -> None:
    """Redis gets all of them, and no others."""
    source = composed("redis.call('HGET', KEY.holds, KEY.queued[2]) return redis.call('GET', KEY.bucket)")

    assert ["tl:holds", "tl:queued:1", "tl:queued:2", "tl:queued:3"] == [keys.key(*one) for one in source.fixed]
    assert source.text.endswith("redis.call('HGET', KEYS[1], KEYS[1 + 2]) return redis.call('GET', KEYS[5])")


def test_a_part_is_included_once_and_behind_what_it_needs(composed: Composed) -> None:
    """The line of a file is found again in what Redis gets."""
    source = composed("-- PARTS move, tally\n\nreturn moved(1)")
    lines = source.text.splitlines()

    assert 1 == source.text.count("local function count(")
    assert source.text.index("local function read(") < source.text.index("local function budget(")
    assert "look.lua:3" == source.where(len(lines))
    assert "readable.lua:1" == source.where(3)
    assert "money.lua:" in source.where(1 + next(at for at, line in enumerate(lines) if "function budget(" in line))


def test_a_parameter_that_is_not_given_by_name_is_refused() -> None:
    """The order of parameters is the script's own affair."""

    def positional(now: int) -> None: ...

    with pytest.raises(TypeError, match="now must be keyword-only"):
        Signature.read(positional)


def test_a_script_gets_its_keys_and_arguments_where_its_source_has_them(client: redis.Redis, tmp_path: Path) -> None:
    """Whatever the order in which a caller names them; here on the keys of another cell and account."""
    (tmp_path / "look.lua").write_text(
        "local report = ARG.reports[2]\n"
        "return {KEY.rate, KEY.due[2], KEY.bucket, KEY.records[2], #KEY.records, tostring(ARG.now),\n"
        "  report[Report.text], Answer.done}"
    )
    there = Space("c7", "acme")
    look: Script[Any, Any] = Script(tmp_path / "look.lua", Signature.read(_look), list[Any], [Answer])
    reply = look.within(there)(
        client,
        reports=[Report("1", "one"), Report("2", "two")],
        now=5,
        bucket=keys.api_rate("k"),
        records=keys.records(["a", "b"]),
    )

    rate, due = b"tl:{c7}:rate@acme", b"tl:{c7}:due:2@acme"
    assert [rate, due, b"tl:api-rate:k", b"tl:m:b", 2, b"5", b"two", b"done"] == reply


def test_periods_are_those_that_a_limit_may_be_compared_with() -> None:
    """At the turn of a month and of a year there are two months."""
    new_year = 1_798_761_600_000  # 2027-01-01

    assert ("20261231", "20270101", "20270102", "202612", "202701") == budgets.periods(new_year)
