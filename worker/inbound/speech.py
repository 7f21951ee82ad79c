"""Speech: reads a reply's sender, its text by its charset, and its part number."""

from __future__ import annotations

import re

from threelane.contract import phone
from threelane.contract.refusal import Refusal
from threelane.worker.inbound import charset
from threelane.worker.inbound.fields import Fields
from threelane.worker.inbound.joining import part_of, writable
from threelane.worker.inbound.report import ReplyPart, printable

_SHORT = re.compile(r"[0-9]{3,15}")  # replies come from short codes, too
_NAMED = re.compile(r"\w")


def sender(raw: str, field: str) -> str:
    """Return a number as digits, as message records keep it; a short code or a name as it is, on one line.

    Raises ValueError if there is neither a letter nor a digit.
    """
    digits = raw.strip().removeprefix("+").removeprefix("00")
    number = phone.parse(digits)
    if not isinstance(number, Refusal):
        return number
    if _SHORT.fullmatch(digits):
        return digits
    name = printable(raw)
    if not _NAMED.search(name):
        raise ValueError(f"{field} is missing: it is a number with the country code, a short code or a name")
    return name


def spoken(fields: Fields, *, escaped: bool) -> tuple[ReplyPart | None, str]:
    """Return a reply's part and its text; ``escaped``: documents of this API percent-encode the text."""
    part, raw, named = part_of(fields.get("udh")), fields.raw("text", "content"), fields.get("charset")
    if isinstance(raw, bytes):
        return part, writable(charset.decode(raw, named), part)
    return part, writable(charset.unescape(raw, named, always=escaped), part)
