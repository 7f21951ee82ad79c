"""Kinds: the types of a message: a text, a flash text, and the old types of 8-bit data for phones.

An old type is a ringtone, a picture or a card: the gateway adds the user data header that the phone needs.  Source: the
parameter ``msg_type`` of Clickatell's HTTP and XML specifications, whose examples send ``msg_type`` and ``data``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threelane.contract.refusal import Code, Refusal

TEXT, FLASH = "text", "flash"
HEADER_OCTETS = 7  # of the gateway's header: 06, then the port of the phone's application, as in 06050415810000

# fmt: off
OLD: Mapping[str, str] = {
    "SMS_NOKIA_OLOGO":    "an operator logo",
    "SMS_NOKIA_GLOGO":    "a group logo",
    "SMS_NOKIA_CLEAN":    "removes the operator logo",
    "SMS_NOKIA_PICTURE":  "a picture",
    "SMS_NOKIA_RINGTONE": "a ringtone, compiled",
    "SMS_NOKIA_RTTL":     "a ringtone as RTTTL text",
    "SMS_NOKIA_RTTTL":    "the same, as other clients spell it",
    "SMS_NOKIA_VCARD":    "a vCard",
    "SMS_NOKIA_VCAL":     "a vCalendar entry",
}
# fmt: on
"""The old types, by the gateway's names, each with its meaning."""

OF_TEXT = frozenset({"SMS_NOKIA_RTTL", "SMS_NOKIA_RTTTL", "SMS_NOKIA_VCARD", "SMS_NOKIA_VCAL"})
"""The old types whose data is ASCII text, so that a text can be given as well."""

_SPELLINGS = {"sms_text": TEXT, "sms_flash": FLASH, TEXT: TEXT, FLASH: FLASH} | {name.lower(): name for name in OLD}


def parse(raw: Any, field: str) -> str | Refusal:
    """Parse a type: ours or the gateway's, in any case; returns text, flash or an old type by the gateway's name."""
    kind = _SPELLINGS.get(raw.strip().lower()) if isinstance(raw, str) else None
    if kind is None:
        shown = repr(raw[:40]) if isinstance(raw, str) else f"a value of type {type(raw).__name__}"
        remedy = "give text, flash, or an old type such as SMS_NOKIA_VCARD; docs/fields.md lists them"
        return Refusal(code=Code.TYPE, field=field, problem=f"{shown} is not a type of message", remedy=remedy)
    return kind


def octets_of(text: str, field: str) -> str | Refusal:
    """Return the text of an old type as hexadecimal data, its lines ended as these formats require."""
    if not text.isascii():
        problem = "a text that is not ASCII, for a type of 8-bit data"
        return Refusal(code=Code.INVALID, field=field, problem=problem, remedy="give its octets as data, hexadecimal")
    return text.replace("\n", "\r\n").encode().hex()
