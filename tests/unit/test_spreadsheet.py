"""A spreadsheet that opens an export runs nothing that somebody wrote into a text."""

from __future__ import annotations

import pytest

from threelane.runtime.spreadsheet import from_cell, text_cell

# fmt: off
CELLS = [
    ("called on 3 May", "called on 3 May"),
    ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
    ("+27 83", "'+27 83"), ("-1+1", "'-1+1"), ("@SUM(1)", "'@SUM(1)"), ("\uff1d1+1", "'\uff1d1+1"), ("\n=1", "'\n=1"),
    ("'=1", "''=1"), ("'quoted'", "'quoted'"), ("", ""), ("a=1", "a=1"),
]
# fmt: on


@pytest.mark.parametrize(("text", "cell"), CELLS)
def test_a_formula_becomes_text_and_is_read_back_unchanged(text: str, cell: str) -> None:
    """Export and import are each other's reverse."""
    assert (cell, text) == (text_cell(text), from_cell(cell))


@pytest.mark.parametrize("text", ["\t=1", "\r=1", "\x1b]0;x\x07"])
def test_a_control_character_begins_no_cell(text: str) -> None:
    """It is shown as an escape, which begins with a backslash."""
    assert text_cell(text).startswith("\\x")
