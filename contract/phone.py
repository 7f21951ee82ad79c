"""Phone numbers: parsed to an MSISDN, or refused with code 105."""

from __future__ import annotations

import re
from typing import NewType

import phonenumbers

from threelane.contract import grouping, national, numbering, spreadsheet, zones
from threelane.contract.numbering import Wrong
from threelane.contract.reading import INTERNATIONAL, Form, Reading
from threelane.contract.refusal import Code, Refusal
from threelane.contract.subscriber import subscriber

Msisdn = NewType("Msisdn", str)
"""International number, digits only: country code first, no plus, no leading zero."""

_EXTENSION = re.compile(r"(ext|x|#|;|,)", re.IGNORECASE)
MOST_LETTERS = 100  # including dashes and spaces; longer values are refused without parsing


def network(msisdn: str) -> str:
    """Return the prefix by which numbers of a network are grouped: the calling code and five digits.

    The calling code alone is too short: one unreachable number must not hold up a whole country.
    """
    lengths = (length for length in (1, 2, 3) if int(msisdn[:length]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    return msisdn[: next(lengths, 0) + 5]


def parse(raw: object, field: str = "to", reading: Reading = INTERNATIONAL) -> Msisdn | Refusal:
    """Return the number as digits; spaces, dashes, a plus and digits of any script are normalised.

    What starts with + or 00 is international; ``reading`` decides for other digits.  Only country code and length are
    checked, not whether the range is in use: numbering plans change faster than any copy of them, and a login code must
    not be refused for a range allotted last month.  A former spelling is returned as the present one: subscriber.py.
    """
    if reading is INTERNATIONAL and type(raw) is str and numbering.is_usual(raw):
        return Msisdn(subscriber(raw))
    if isinstance(raw, list | tuple):  # as the gateway's REST API has it
        if len(raw) != 1:
            return _refused(field, Wrong(f"a list of {len(raw)} recipients", "give one recipient for each message"))
        if isinstance(raw[0], list | tuple):
            return _refused(field, Wrong("a list within the list", "give a list of one number, or the number"))
        return parse(raw[0], field, reading)
    text = _text(raw)
    if isinstance(text, Wrong):
        return _refused(field, text)
    grouped = grouping.read(text, reading.country)
    if isinstance(grouped, Wrong):
        return _refused(field, grouped)
    is_international, digits = grouped
    if not digits:
        return _refused(field, Wrong("the number is empty", "give the recipient in international form"))
    if not digits.isascii() or not digits.isdigit():
        return _refused_letters(field, digits)
    read = numbering.international(digits) if is_international else _bare(digits, reading)
    return _refused(field, read) if isinstance(read, Wrong) else Msisdn(subscriber(read))


def mask(msisdn: str) -> str:
    """Return the number with its last digits hidden, for logs: ``27831*******``."""
    return msisdn[:5] + "*" * max(0, len(msisdn) - 5)


def _text(raw: object) -> str | Wrong:
    """Return a number as text, as it was before a spreadsheet or a database made another type of it."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw) if abs(raw) < 10**MOST_LETTERS else "9" * 2 * MOST_LETTERS  # Python converts no longer ones
        if raw.startswith("-"):
            return Wrong("the number is negative", "write the number as a string")
    if isinstance(raw, spreadsheet.SpelledFloat):
        return _restored(spreadsheet.restore(raw.spelling))
    if isinstance(raw, float):
        return _restored(spreadsheet.restore_float(raw))
    if not isinstance(raw, str):
        return Wrong(f"expected a string, got {type(raw).__name__}", "write the number as a string")
    if len(raw) > MOST_LETTERS:
        return Wrong(f"{len(raw):,} characters instead of digits", "an international number has 7 to 15 digits")
    return _restored(spreadsheet.restore(raw))


def _restored(text: str | spreadsheet.Problem) -> str | Wrong:
    return text if isinstance(text, str) else Wrong(text.problem, text.remedy)


def _bare(digits: str, reading: Reading) -> str | Wrong:
    """Return digits without + or 00 as a number, as the reading says."""
    if reading.form is Form.NATIONAL:
        return national.read(digits, reading.country)
    read = numbering.international(digits)
    if reading.form is Form.INTERNATIONAL:
        return read
    if isinstance(read, Wrong):
        return Wrong(
            "the number has no +, and its digits are no international number",
            "write + and the country code first, as in +27831234567, or give its country",
        )
    return Wrong(
        f"the number has no +: it may be +{read} of {zones.country(read)}, or a national number of another country",
        f"write + first, as in +{read}, or give its country",
    )


def _refused_letters(field: str, digits: str) -> Refusal:
    if digits[:1].isdigit() and _EXTENSION.search(digits):
        return _refused(field, Wrong("the number has an extension", "leave it out: an SMS cannot be sent to one"))
    return _refused(field, Wrong("the number has characters other than digits", "write digits only, as in 27831234567"))


def _refused(field: str, why: Wrong) -> Refusal:
    return Refusal(code=Code.DESTINATION, field=field, problem=why.problem, remedy=why.remedy)
