"""Senders: sender IDs that the gateway takes, and countries whose networks take no names.

Source: Clickatell's page on sender IDs: a number has up to 16 digits, a name up to 11 letters and digits, and one of
its characters is no digit.  It lists no other characters; a space is let through, for names that were registered so.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Any

from threelane.contract import spreadsheet, zones
from threelane.contract.refusal import Code, Owner, Refusal

_DIGITS = re.compile(r"[0-9]{1,16}")
_NAME = re.compile(r"[A-Za-z0-9 ._&-]{1,11}")  # as earlier versions took it
_NO_SUCH_CHARACTER = re.compile(r"[._&-]")
_LETTER = re.compile(r"[A-Za-z]")
_SHOWN = 40  # characters of a wrong value
_FORM = "give a number of up to 16 digits, or a name of 2 to 11 characters that is registered with the gateway"


def parse(raw: Any, field: str) -> str | Refusal:
    """Parse a sender ID: an international number or short code, or a name; nothing of a name is changed."""
    sender = parse_former(raw, field)
    wrong = None if isinstance(sender, Refusal) else _NO_SUCH_CHARACTER.search(sender)
    return (
        sender if wrong is None else _refused(field, f"the sender {sender!r} has the character {wrong[0]!r}", _LETTERS)
    )


def parse_former(raw: Any, field: str) -> str | Refusal:
    """Parse the sender ID of an opt-out: also a name with a character that earlier versions took."""
    sender = parse_stored(raw, field)
    if isinstance(sender, Refusal):
        return sender
    if sender.isdigit():
        if _written(raw).lstrip("+")[:1] == "-":
            return _refused(field, f"the sender -{sender} is negative", _FORM)
        if sender[0] != "0":
            return sender
        digits = sender.lstrip("0")
        remedy = f"write its country code first, as in {digits}" if digits and sender[:2] == "00" else _CODE_FIRST
        return _refused(field, f"the sender {sender!r} starts with 0", remedy)
    if not _LETTER.search(sender):
        return _refused(field, f"the sender {sender!r} has neither a letter nor digits alone", _FORM)
    if len(sender) < 2:
        return _refused(field, f"the sender {sender!r} is a single letter", _FORM)
    return sender


_LETTERS = "give a name of letters and digits only: the gateway takes no others"
_CODE_FIRST = "write the country code first, as in 27831234567, or a short code"


def parse_stored(raw: Any, field: str) -> str | Refusal:
    """Parse a sender ID by the rules of earlier versions, whose messages and holds may still be stored."""
    value = _written(raw)
    digits = re.sub(r"[\s-]", "", value.removeprefix("+"))
    if _DIGITS.fullmatch(digits):
        return digits
    if _NAME.fullmatch(value):
        return value
    shown = repr(value[:_SHOWN] if value else raw if isinstance(raw, float) else "")
    return _refused(field, f"{shown} is not a valid sender ID", _FORM)


def refuse(sender: str, to: str, numeric_countries: AbstractSet[str]) -> Refusal | None:
    """Refuse a sender name to a country whose networks take numbers only."""
    if not numeric_countries or not sender or sender.isdigit():
        return None
    where = zones.country(to)
    if where not in numeric_countries:
        return None
    return Refusal(
        code=Code.SENDER,
        field="sender",
        problem=f"networks of {where} take no sender names, and {sender!r} is one",
        remedy="send from a number or a short code; the list is the operator's, THREELANE_SENDERS_FILE",
        owner=Owner.PRODUCER,
    )


def _written(raw: Any) -> str:
    """Return a sender as text; a number without the decimal 0 that spreadsheets and databases give it."""
    if isinstance(raw, float):
        whole = spreadsheet.restore_float(raw)
        return whole if isinstance(whole, str) else ""
    value = str(raw).strip() if isinstance(raw, str | int) and not isinstance(raw, bool) else ""
    if value and len(value) <= spreadsheet.MOST_LETTERS and not any(letter.isalpha() for letter in value):
        restored = spreadsheet.restore(value)
        return restored if isinstance(restored, str) else value
    return value


def _refused(field: str, problem: str, remedy: str) -> Refusal:
    return Refusal(code=Code.SENDER, field=field, problem=problem, remedy=remedy)
