"""WhatsApp: what a message of this channel can have; it is one message of up to 4,096 characters, not parts.

Source: the One API's message page: sender, data and header are of SMS only, and a text has at most 4,096 characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threelane.contract.refusal import Code, Refusal, invalid
from threelane.contract.text import Alphabet, Size, measure

CHANNEL = "whatsapp"
MOST_CHARACTERS = 4096
_OF_SMS = ("sender", "binary", "udh", "unicode", "type", "message_class")


def refuse(given: Mapping[str, Any], spelt: Mapping[str, str]) -> Refusal | None:
    """Return the refusal of a field that only an SMS has, if the message is none."""
    if given.get("channel") != CHANNEL:
        return None
    for name in _OF_SMS:
        if given.get(name) not in (None, "", False, "text"):
            problem = f"channel=whatsapp, and {name.replace('_', ' ')} is of an SMS"
            return invalid(spelt[name], problem, "leave one of the two out")
    return None


def size(text: str, alphabet: Alphabet) -> Size | Refusal:
    """Return the size of a text, which is one message; its units are characters."""
    if len(text) > MOST_CHARACTERS:
        problem = f"{len(text):,} characters; a WhatsApp message has at most {MOST_CHARACTERS:,}"
        return Refusal(code=Code.PARTS, field="text", problem=problem, remedy="shorten it before the call")
    return Size(measure(text, alphabet=alphabet).encoding, len(text), 1)
