"""Speech: reads a reply's sender as an MSISDN, its text by its charset, and its part number."""

from __future__ import annotations

import re

from threelane.contract import phone
from threelane.contract.refusal import Refusal
from threelane.worker.inbound import charset
from threelane.worker.inbound.fields import Fields
from threelane.worker.inbound.joining import part_of, writable
from threelane.worker.inbound.report import ReplyPart

_SHORT = re.compile(r"[0-9]{3,15}")  # replies come from short codes, too


def sender(raw: str, field: str) -> str:
    """Return the person's number as digits, as message records keep it; raises ValueError if it is not a number."""
    digits = raw.strip().removeprefix("+").removeprefix("00")
    number = phone.parse(digits)
    if not isinstance(number, Refusal):
        return number
    if not _SHORT.fullmatch(digits):
        raise ValueError(f"{field} is missing or not a number: digits with the country code, such as 27831234567")
    return digits


def spoken(fields: Fields, *, escaped: bool) -> tuple[ReplyPart | None, str]:
    """Return a reply's part and its text; ``escaped``: documents of this API percent-encode the text."""
    part, raw, named = part_of(fields.get("udh")), fields.raw("text", "content"), fields.get("charset")
    if isinstance(raw, bytes):
        return part, writable(charset.decode(raw, named), part)
    return part, writable(charset.unescape(raw, named, always=escaped), part)
