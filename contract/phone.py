"""Phone numbers: parsed to an MSISDN, or refused with code 105."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NewType

import phonenumbers
from phonenumbers import ValidationResult

from threelane.contract.refusal import Code, Refusal

Msisdn = NewType("Msisdn", str)
"""International number, digits only: country code first, no plus, no leading zero."""

_PUNCTUATION = re.compile(r"[\s\-.()/\u00ad\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060\ufeff]+")
_EXTENSION = re.compile(r"(ext|x|#|;|,)", re.IGNORECASE)
MOST_LETTERS = 100  # including dashes and spaces; longer values are refused without parsing
_CLASS_DIGITS = 4  # country code and at least one more digit


def network(msisdn: str) -> str:
    """Return the prefix by which numbers of a network are grouped: the calling code and five digits.

    The calling code alone is too short: one unreachable number must not hold up a whole country.
    """
    lengths = (length for length in (1, 2, 3) if int(msisdn[:length]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    return msisdn[: next(lengths, 0) + 5]


def parse(raw: object, field: str = "to") -> Msisdn | Refusal:
    """Return the number as digits; spaces, dashes, a plus and digits of any script are normalised.

    Only country code and length are checked, not whether the range is in use: numbering plans change faster than
    any copy of them, and a login code must not be refused for a range allotted last month.
    """
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw) if abs(raw) < 10**MOST_LETTERS else "9" * 2 * MOST_LETTERS  # Python converts no longer ones
    if not isinstance(raw, str):
        return _refused(field, f"expected a string, got {type(raw).__name__}", "write the number as a string")
    if len(raw) > MOST_LETTERS:
        return _refused(
            field, f"{len(raw):,} characters instead of digits", "an international number has 7 to 15 digits"
        )
    digits = raw if raw.isascii() and raw.isdigit() else _only_digits(raw)
    if not digits:
        return _refused(field, "the number is empty", "give the recipient in international form")
    if not digits.isascii() or not digits.isdigit():
        return _refused_letters(field, digits)
    if digits[0] == "0":
        return _refused(
            field,
            "the number starts with 0",
            "write the country code first, without 0, 00 or another dialling prefix, as in 27831234567",
        )
    if not 7 <= len(digits) <= 15:
        return _refused(field, f"{len(digits)} digits", "an international number has 7 to 15 digits")
    verdict = _class_of(digits[:_CLASS_DIGITS], len(digits))
    if verdict != ():  # a class is never refused as a whole: one of its numbers may be rewritten
        verdict = _judge(digits)
    if verdict:
        return _refused(field, *verdict)
    if verdict == ():
        return Msisdn(digits)
    rewritten = _rewritten(digits)
    if len(rewritten) < 7 or _judge(rewritten) != ():
        return _refused(field, "the number has a 0 after its country code", "check its digits")
    return rewritten


def mask(msisdn: str) -> str:
    """Return the number with its last digits hidden, for logs: ``27831*******``."""
    return msisdn[:5] + "*" * max(0, len(msisdn) - 5)


def _only_digits(raw: str) -> str:
    text = _PUNCTUATION.sub("", raw).removeprefix("+").removeprefix("\uff0b")
    if text.isascii():
        return text
    return "".join(str(unicodedata.digit(letter, letter)) for letter in text)


def _refused_letters(field: str, digits: str) -> Refusal:
    if digits[:1].isdigit() and _EXTENSION.search(digits):
        return _refused(field, "the number has an extension", "leave the extension out: an SMS cannot be sent to one")
    return _refused(field, "the number has characters other than digits", "write digits only, as in 27831234567")


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
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason in (ValidationResult.TOO_SHORT, ValidationResult.IS_POSSIBLE_LOCAL_ONLY):
        return ("the number is too short for its country", "check that no digit is missing")
    if reason != ValidationResult.IS_POSSIBLE:
        return ("the number has a wrong length for its country", "check its digits")
    same = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == "+" + digits
    return () if same else None


def _rewritten(digits: str) -> Msisdn:
    """Remove the national dialling prefix, as in 44 (0)7700 900123."""
    number = phonenumbers.parse("+" + digits)
    return Msisdn(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+"))


def _refused(field: str, problem: str, remedy: str) -> Refusal:
    return Refusal(code=Code.DESTINATION, field=field, problem=problem, remedy=remedy)
