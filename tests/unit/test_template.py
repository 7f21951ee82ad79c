"""A text with placeholders is filled in whole, or the row is refused: no recipient gets "Dear ,"."""

from __future__ import annotations

from typing import Any

import pytest

from threelane.contract.refusal import Refusal
from threelane.producer.files.template import InvalidTemplate, parse

ROW = {"name": "Ana {x}", "sum": 12.5, "empty": "  ", "none": None, "flag": True, "list": [1]}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Dear {name}, {sum}", "Dear Ana {x}, 12.5"),
        ("{name}{name}", "Ana {x}Ana {x}"),
        ("{{name}} }} {{", "{name} } {"),
        ("plain", "plain"),
        ("{ name }", "Ana {x}"),
    ],
)
def test_columns_stand_where_their_names_were(text: str, filled: str) -> None:
    """A value is not read as a template again."""
    assert filled == parse(text).fill(ROW)


@pytest.mark.parametrize("name", ["missing", "empty", "none", "flag", "list"])
def test_an_unknown_or_empty_placeholder_is_refused(name: str) -> None:
    """With the name of its column."""
    answer: Any = parse(f"Dear {{{name}}}").fill(ROW)
    assert isinstance(answer, Refusal)
    assert (name, "101") == (answer.field, answer.code)


@pytest.mark.parametrize("text", ["{", "a } b", "{}", "{ }", "{name", "{a{b}}"])
def test_an_unmatched_brace_is_reported_with_its_position(text: str) -> None:
    """A text with a lone brace was meant to be something else."""
    with pytest.raises(InvalidTemplate, match=r"at character [0-9]+: write"):
        parse(text)
