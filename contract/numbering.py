"""Numbering plans: which international numbers are possible, by country code and length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

from threelane.contract.subscriber import subscriber

LEAST_DIGITS, MOST_DIGITS = 7, 15  # of an international number
_CLASS_DIGITS = 4  # country code and at least one more digit
_LENGTH = f"an international number has {LEAST_DIGITS} to {MOST_DIGITS} digits"
_CODE_FIRST = "write the country code first, without 0 or another dialling prefix, as in 27831234567"

CALLING_CODES = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
# fmt: off
_BEGIN_WITH_ZERO = frozenset({
    39, 47, 62, 66, 81, 82, 91, 225, 226, 227, 229, 241, 242, 247, 250, 267, 268, 359, 378, 501, 507, 598, 676, 679,
    687, 800, 853, 881, 888, 974, 992,
})
# fmt: on
"""The calling codes after which some numbers have a 0; test_numbers compares them with the metadata."""

_opened: dict[str, frozenset[int]] = {}  # lengths by prefix: the operator's corrections of the metadata


class Wrong(NamedTuple):
    """Why a number cannot be read, and the remedy."""

    problem: str
    remedy: str


_ZERO = Wrong("the number has a 0 after its country code", "leave the 0 out, or check its digits")


def open_ranges(ranges: Mapping[str, Sequence[int]]) -> None:
    """Accept numbers with a prefix and one of its lengths, whatever the metadata says; replaces earlier ranges."""
    _opened.clear()
    _opened.update({prefix: frozenset(lengths) for prefix, lengths in ranges.items()})


def is_opened(digits: str) -> bool:
    """Return whether the operator opened the range of an international number."""
    return (
        any(len(digits) in _opened.get(digits[:length], ()) for length in range(1, len(digits))) if _opened else False
    )


def is_usual(text: str) -> bool:
    """Return whether a text is a possible number as it is: ASCII digits, of which country code and length decide."""
    return (
        LEAST_DIGITS <= len(text) <= MOST_DIGITS
        and text.isascii()
        and text.isdigit()
        and text[0] != "0"
        and _class_of(text[:_CLASS_DIGITS], len(text)) == ()
    )


def international(digits: str) -> str | Wrong:
    """Return digits with a country code as a number, without a 0 after the code as in 44 (0)7700 900123."""
    if digits[0] == "0":
        return Wrong("the number starts with 0", _CODE_FIRST)
    if not LEAST_DIGITS <= len(digits) <= MOST_DIGITS:
        return Wrong(f"{len(digits)} digits", _LENGTH)
    digits = subscriber(digits)  # a former spelling may have a length that the metadata no longer has
    verdict = _class_of(digits[:_CLASS_DIGITS], len(digits))
    if verdict != ():  # a class is never refused as a whole: one of its numbers may be rewritten
        verdict = _judge(digits)
    if verdict == () or (verdict and is_opened(digits)):
        return digits
    if verdict:
        return Wrong(*verdict)
    rewritten = written(phonenumbers.parse("+" + digits))
    if len(rewritten) < LEAST_DIGITS or _judge(rewritten) != ():
        return digits if is_opened(digits) else _ZERO
    return rewritten


def keeps_zero(calling_code: str) -> bool:
    """Return whether a 0 after a calling code can be a digit of the number, and is not a dialling prefix."""
    code = int(calling_code)
    region = phonenumbers.region_code_for_country_code(code)
    return code in _BEGIN_WITH_ZERO and phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) != "0"


def written(number: PhoneNumber) -> str:
    """Return the digits of a parsed number, country code first."""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+")


@lru_cache(maxsize=8192)
def _class_of(prefix: str, length: int) -> tuple[str, ...] | None:
    """Check all numbers of one country and length at once; None: each needs its own check.

    A check takes 30 microseconds and depends only on country code and length, except for national dialling
    prefixes.
    """
    return _judge(prefix + "1" * (length - len(prefix))) if prefix[-1] != "0" else None


def _judge(digits: str) -> tuple[str, ...] | None:
    """Return () for a valid number, problem and remedy for a refused one, None for one to rewrite."""
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return ("no country has this calling code", "start with the country code, as in 27831234567")
    if refused := wrong_length(number):
        return refused
    if written(number) != digits:
        return None
    has_zero = number.italian_leading_zero and number.country_code not in _BEGIN_WITH_ZERO
    return _ZERO if has_zero else ()


def wrong_length(number: PhoneNumber) -> Wrong | None:
    """Return the problem of a number whose length its country does not have."""
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason in (ValidationResult.TOO_SHORT, ValidationResult.IS_POSSIBLE_LOCAL_ONLY):
        return Wrong("the number is too short for its country", "check that no digit is missing")
    if reason != ValidationResult.IS_POSSIBLE:
        return Wrong("the number has a wrong length for its country", "check its digits")
    return None
