"""Spreadsheet: undoes what spreadsheets, forms and databases do to a number, where no digit is lost."""

from __future__ import annotations

import re
from typing import NamedTuple, Self


class Problem(NamedTuple):
    """Why a cell does not hold the number that someone entered: problem and remedy."""

    problem: str
    remedy: str


class SpelledFloat(float):
    """A float of JSON that keeps how it was written, since 2.78E+10 has lost digits and 27800000000.0 has not."""

    __slots__ = ("spelling",)
    spelling: str

    def __new__(cls, spelling: str) -> Self:
        """Take the number as it was written."""
        value = super().__new__(cls, spelling)
        value.spelling = spelling
        return value


MOST_EXACT_DIGITS = 15  # of a number in a spreadsheet; it writes the others as 0
LONG_DIGITS = 10  # that are a number on their own: a point behind them is a decimal point
LEAST_DIGITS = 7  # of an international number
MOST_LETTERS = 100  # a longer cell holds no number
_AS_TEXT = "format the column as text, enter the numbers again, and save the file"

_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
_QUOTES = "\"'`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\uff07"
_AROUND = re.compile(f"^[\\s{_INVISIBLE}]+|[\\s{_INVISIBLE}]+$")
_SCHEME = re.compile(r"^(?:tel|p|sms|phone|mobile|cell|whatsapp)\s*[:=]\s*", re.IGNORECASE)  # p: is Facebook's
_FORMULA = re.compile(r"^=\s*(?=[\"+0-9])")

_DECIMALS = re.compile(r"(\+?\d{7,})[.,\u066b](\d+)")
_TRAILING_ZERO = re.compile(r"(.*\d)[.,\u066b](00?)")  # nobody writes a single digit as the last group of a number
_GROUPS = re.compile(  # of thousands, also of India's lakhs
    r"(\+?\d{1,3}(?:(?:,\d{2,3})*,\d{3}|(?:'\d{3})+|(?:\u2019\d{3})+))(?:\.(\d+))?"
    r"|(\+?\d{1,3}(?:\.\d{3})+(?=,)|\+?\d{1,3}(?:[ \u00a0\u202f]\d{3})+)[,.](\d+)"
)
_SCIENTIFIC = re.compile(r"(\+?)(\d+)(?:[.,\u066b](\d*))?[eE]([+-]?)(\d{1,3})")
_DATE = re.compile(
    r"(?:(?:19|20)\d\d[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d)(?:[ T]\d{1,2}:\d\d.*)?"
)
_TWO = re.compile(r"[/;,|\n\r]|\s(?:or|and|und|ou|et|y|o|e)\s", re.IGNORECASE)
_NOTHING = frozenset(
    {"null", "none", "nil", "nan", "<na>", "n/a", "na", "true", "false", "undefined", "-", "--", "\\n", "(null)"}
)


def restore(cell: str) -> str | Problem:
    """Return a number as it was before a spreadsheet changed it, or the problem if a digit is lost.

    Undone are ``27831234506.0``, ``2.7831234506E+10``, ``="27831234506"``, an apostrophe or quotes around the number,
    groups of thousands and ``tel:``.  Anything else is returned unchanged: ``phone.parse`` judges it.
    """
    digits = cell.removeprefix("+")
    if len(cell) > MOST_LETTERS or (digits.isascii() and digits.isdigit() and len(digits) <= MOST_EXACT_DIGITS):
        return cell
    text = _bare(cell)
    for shape, read in _SHAPES:
        if found := shape.fullmatch(text):
            return read(found)
    return _without_number(text) or _several(text) or text


def restore_float(value: float) -> str | Problem:
    """Return the digits of a whole number that arrived as a float."""
    if not abs(value) < 2**53:  # not a number, infinite, or more digits than a float holds
        return Problem(f"{value!r} is not a whole number", "write the number as a string")
    return str(int(value)) if value.is_integer() else Problem(f"{value!r} has decimals", "write the number as a string")


def _bare(cell: str) -> str:
    """Return the content of a cell without quotes, formula signs and invisible characters around it."""
    text = _AROUND.sub("", cell)
    while (fewer := _AROUND.sub("", _SCHEME.sub("", _FORMULA.sub("", text.strip(_QUOTES))))) != text:
        text = fewer
    return text


def _decimals(found: re.Match[str]) -> str | Problem:
    whole, fraction = found[1], found[2]
    if len(fraction) >= LEAST_DIGITS and fraction.strip("0") and "," in found[0]:
        return _numbers(2)  # as the gateway writes several recipients; no spreadsheet writes so many decimals
    return _without_fraction(whole, fraction, found[0])


def _trailing_zero(found: re.Match[str]) -> str | Problem:
    number, zeros = found[1], found[2]
    parted = re.search(r"[.,\u066b]", number)
    if zeros == "00" and parted and not re.search(r"[^\d.]", number):
        return found[0]  # 01.23.45.67.00: digits of the number
    if zeros == "00" and not parted and re.search(r"\D", number.lstrip("+")):
        return Problem(f"the last zeros of {found[0]} can be digits or decimals", "write digits only")
    return Problem(f"{found[0]} has decimals within the number", _AS_TEXT) if parted else number


def _groups(found: re.Match[str]) -> str | Problem:
    whole, fraction = (found[1], found[2] or "") if found[1] else (found[3], found[4])
    digits = re.sub(r"[^+\d]", "", whole)
    if len(digits.removeprefix("+")) >= 7:
        return _without_fraction(digits, fraction, found[0])
    return _trailing_zero(trailing) if (trailing := _TRAILING_ZERO.fullmatch(found[0])) else found[0]


def _without_fraction(whole: str, fraction: str, cell: str) -> str | Problem:
    digits = len(whole.removeprefix("+"))
    if fraction.strip("0"):
        if len(fraction) > 2 and digits < LONG_DIGITS:
            return cell  # 0305555.1234: a dot between groups, as some people write numbers
        return Problem(f"{cell} has decimals: a number was computed with", _AS_TEXT)
    if len(fraction) <= 2 or digits + len(fraction) > MOST_EXACT_DIGITS:
        return whole
    return Problem(f"{cell} can be read as {whole} with decimals, or with the zeros as digits", "write digits only")


def _scientific(found: re.Match[str]) -> str | Problem:
    plus, whole, fraction, sign, exponent = found[1], found[2], found[3] or "", found[4], int(found[5])
    places = -exponent if sign == "-" else exponent
    if places < 0 or fraction[places:].strip("0"):
        return Problem(f"{found[0]} is not a whole number", _AS_TEXT)
    if len(fraction) < places and (whole + fraction).strip("0"):
        lost = places - len(fraction)
        return Problem(
            f"{found[0]} is a number in scientific notation, of which the last {lost} digits are lost", _AS_TEXT
        )
    return plus + whole + fraction[:places]


def _rounded(found: re.Match[str]) -> str | Problem:
    return Problem(
        f"{len(found[0])} digits that end with 0: a spreadsheet keeps {MOST_EXACT_DIGITS} and writes 0 for the others",
        _AS_TEXT,
    )


def _date(found: re.Match[str]) -> str | Problem:
    return Problem(f"{found[0]} is a date: a spreadsheet may have made it of a number", _AS_TEXT)


def _without_number(text: str) -> Problem | None:
    if text and not text.strip("#"):
        return Problem("the cell has # instead of digits: its column was too narrow", "widen the column")
    if text.startswith("#"):
        return Problem(f"{text[:10]} is an error of a spreadsheet", "correct the formula, or remove the row")
    if text.lower() in _NOTHING:
        return Problem(f"{text} stands for a missing number", "give the number, or remove the row")
    return None


def _several(text: str) -> Problem | None:
    numbers = [piece for piece in _TWO.split(text) if sum(letter.isdigit() for letter in piece) >= LEAST_DIGITS]
    return _numbers(len(numbers)) if len(numbers) > 1 else None


def _numbers(count: int) -> Problem:
    return Problem(
        f"it has {'two' if count == 2 else count} numbers", "give each number a message of its own, in a file a row"
    )


# fmt: off
_SHAPES = (
    (_DATE, _date),
    (_SCIENTIFIC, _scientific),
    (_DECIMALS, _decimals),
    (_GROUPS, _groups),
    (_TRAILING_ZERO, _trailing_zero),
    (re.compile(r"[1-9]\d{14,}0"), _rounded),
)
# fmt: on
"""What a cell may have become, in the order in which it is tried."""
