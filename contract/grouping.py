"""Grouping: what brackets, slashes and dashes in a number mean, before they are removed."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import phonenumbers

from threelane.contract import numbering
from threelane.contract.numbering import LEAST_DIGITS, Wrong

_BETWEEN = r"[\s\-.()/\u00ad\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060\ufeff]"
_PUNCTUATION = re.compile(f"{_BETWEEN}+")
_PLUS = ("+", "\uff0b")
_ZERO = re.compile(rf"({_BETWEEN}*(?:[+\uff0b]|00)?(?:{_BETWEEN}*\d){{1,3}})({_BETWEEN}+)0{_BETWEEN}+(?=\d)")
_LAST = re.compile(r"[^\d]+(?=\d+$)")  # before the last digits
_DASH = re.compile(r"[\-\u2010-\u2015\u2212]")
_CLOSING = " \t\u00a0)."
_NEXT = re.compile(r"[/\n\r\v\f\x85\u2028\u2029]")  # between two numbers, or between groups of one
_MOST_TAIL = 4  # digits of an extension, or of a second number in short form
_WHOLE = 9  # digits without punctuation that are a number on their own
_TWO = Wrong("it has two numbers, the second in short form", "give each number a message of its own, in a file a row")
_TAIL = Wrong(
    "the last digits can be an extension, or a second number in short form",
    "leave them out if they are; otherwise write the number without punctuation",
)


class Grouped(NamedTuple):
    """A number without punctuation, in ASCII digits: whether it had + or 00, which are removed."""

    is_international: bool
    digits: str


def read(text: str, country: str = "") -> Grouped | Wrong:
    """Return a number without punctuation, and without a 0 in brackets after its country code.

    ``country`` is the one whose national numbers may be there.
    """
    if text.isascii() and text.isdigit():
        return _ungrouped(text)
    if not text.isascii():
        text = "".join(str(unicodedata.digit(letter, letter)) for letter in text)
    zero = _ZERO.match(text)
    plain = _without_zero(text, zero, country) if zero else text
    if isinstance(plain, Wrong):
        return plain
    return _second(plain, country) or _tail(plain, country) or _ungrouped(_PUNCTUATION.sub("", plain))


def _ungrouped(text: str) -> Grouped:
    has_plus = text.startswith(_PLUS)
    digits = text[has_plus:]
    has_zeros = not has_plus and digits.startswith("00")
    return Grouped(has_plus or has_zeros, digits[2:] if has_zeros else digits)


def _without_zero(text: str, zero: re.Match[str], country: str) -> str | Wrong:
    """Return a number without the 0 that stands alone after its country code; refused where it can be a digit of it."""
    start = _ungrouped(_PUNCTUATION.sub("", zero[1]))
    code, rest = start.digits, text[zero.end() :]
    is_bare = not start.is_international
    if code not in numbering.CALLING_CODES or (is_bare and country and "(" not in zero[2]):
        return text
    if is_bare and country:
        return Wrong(f"the number has a 0 in brackets after {code}, a country code", f"write +{code} first")
    if numbering.keeps_zero(code):
        digits = _PUNCTUATION.sub("", rest)
        return Wrong(
            f"the 0 after the country code is a digit of some numbers there: +{code}0{digits} or +{code}{digits}",
            "write the right one",
        )
    return f"{code} {rest}" if is_bare else f"+{code} {rest}"


def _second(text: str, country: str) -> Wrong | None:
    """Refuse a number with a second one in short form, as in 27831234567/8: a slash or a new line after a whole one."""
    start = 0
    for between in _NEXT.finditer(text):
        before, after = text[: between.start()], _count(text[between.end() :])
        group = _count(text[start : between.start()])
        is_short = group > _MOST_TAIL > after
        if after and (group >= _WHOLE or (is_short and _is_in_use(before, country))):
            return _TWO
        start = between.end()
    return None


def _tail(text: str, country: str) -> Wrong | None:
    """Refuse a number with few digits behind a dash or in brackets, if those before them are a number."""
    text = text.rstrip(_CLOSING)
    between = _LAST.search(text)
    if between is None or (after := _count(text[between.end() :])) > _MOST_TAIL:
        return None
    before = text[: between.start()]
    group = _last_group(before)
    if "(" in between[0]:
        is_suspect, is_whole = True, len(_unprefixed(before)) >= LEAST_DIGITS
    elif _DASH.search(between[0]):
        is_single = after == 1 and group > 2
        is_suspect = is_single or group >= _WHOLE or (after == 2 and group >= _MOST_TAIL)  # 345-67-89 is usual
        is_whole = group >= _WHOLE or (is_single and len(_unprefixed(before)) >= LEAST_DIGITS)
    else:
        is_suspect, is_whole = after <= 2 and group >= _WHOLE, False
    return _TAIL if is_suspect and (is_whole or _is_in_use(before, country)) else None


def _is_in_use(text: str, country: str) -> bool:
    """Return whether a number is in use, so that digits after it are too many."""
    start = _ungrouped(_PUNCTUATION.sub("", text))
    is_national = country and not start.is_international
    try:
        number = phonenumbers.parse(start.digits if is_national else f"+{start.digits}", country or None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


def _unprefixed(text: str) -> str:
    """Return a number without + or 00."""
    return _ungrouped(_PUNCTUATION.sub("", text)).digits


def _count(text: str) -> int:
    return sum(letter.isdigit() for letter in text)


def _last_group(text: str) -> int:
    """Return how many digits a text ends with."""
    return len(text) - len(text.rstrip("0123456789"))
