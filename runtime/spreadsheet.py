"""Spreadsheet: free text in cells of CSV that no spreadsheet runs as a formula, as OWASP advises (CSV injection)."""

from __future__ import annotations

import re

from threelane.runtime.visible import visible_lines

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What begins a formula, in some spreadsheets also at full width; behind apostrophes it is text that was escaped."""


def text_cell(text: str) -> str:
    """Return free text as a cell: control characters as escapes, and an apostrophe before what would be a formula.

    Only for columns of free text: a number such as +27831234567 or -5 stays a number for programs.
    """
    shown = visible_lines(text)
    return "'" + shown if _FORMULA.match(shown) else shown


def from_cell(cell: str) -> str:
    """Return the text of a cell that ``text_cell`` wrote."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
