"""Speech: who says what in a reply: the sender as an MSISDN, the text by its charset, and which part of it."""

from __future__ import annotations

import re

from threelane.contract import phone
from threelane.contract.refusal import Refusal
from threelane.worker.inbound import charset
from threelane.worker.inbound.fields import Fields
from threelane.worker.inbound.joining import part_of, writable
from threelane.worker.inbound.report import ReplyPart

_SHORT = re.compile(r"[0-9]{3,15}")  # short codes are answered from, too


def sender(raw: str, field: str) -> str:
    """Return the number of the person, digits alone, as messages to it are kept; ValueError when it is no number."""
    digits = raw.strip().removeprefix("+").removeprefix("00")
    number = phone.parse(digits)
    if not isinstance(number, Refusal):
        return number
    if not _SHORT.fullmatch(digits):
        raise ValueError(f"{field} is missing or no number: digits with the country code, such as 27831234567")
    return digits


def spoken(fields: Fields, *, escaped: bool) -> tuple[ReplyPart | None, str]:
    """Return which part of a reply this is, and its text; ``escaped``: documents of this API percent-encode it."""
    part, raw, named = part_of(fields.get("udh")), fields.raw("text", "content"), fields.get("charset")
    if isinstance(raw, bytes):
        return part, writable(charset.decode(raw, named), part)
    return part, writable(charset.unescape(raw, named, always=escaped), part)
