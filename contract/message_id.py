"""Message id: what identifies a message here and, as its client message id, at the gateway.

It has 32 letters and digits.  A message without a client message id gets random hexadecimal digits.  With one, its id
follows from the producer and that id, so that a repeated call finds the message; the setting THREELANE_WIRE_IDS chooses
between two forms:

* ours: 32 hexadecimal digits, the hash of both;
* callers: the beginning of the client message id, up to 16 letters and digits, then the beginning of the same hash.

The last 16 are always digits of the hash, or random: a look-up never finds the message of another producer.
"""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

LENGTH = 32
OF_CALLER = 16  # the most letters and digits of the caller's id
PATTERN = rf"[0-9A-Za-z]{{{OF_CALLER}}}[0-9a-f]{{{LENGTH - OF_CALLER}}}"
_ID = re.compile(PATTERN)
_HEXADECIMAL = re.compile(r"[0-9a-f]{32}")
_BRIEF, _BRIEF_OF_CALLER = 8, OF_CALLER + 4
_NUMBER_DIGITS = 7  # as many digits of a phone number tell whose it is


class WireIds(StrEnum):
    """Whose ids the gateway gets as client message ids."""

    OURS = "ours"
    CALLERS = "callers"


class Ids(NamedTuple):
    """The id of a message, and the one that it would have in the other form."""

    own: str
    other: str


def identify(producer: str, client_message_id: str) -> str:
    """Return the id in our form that follows from a client message id."""
    return blake2b(f"{producer}\0{client_message_id}".encode(), digest_size=16).hexdigest()


def both(producer: str, client_message_id: str, wire_ids: WireIds = WireIds.OURS, to: str = "") -> Ids:
    """Return the ids that follow from a client message id, the one in the chosen form first.

    An id that contains the number of its recipient stays in our form: ids are logged, numbers are not.
    """
    ours = identify(producer, client_message_id)
    callers = (client_message_id[:OF_CALLER] + ours)[:LENGTH]
    if wire_ids is WireIds.OURS or (to and to[-_NUMBER_DIGITS:] in callers[:OF_CALLER]):
        return Ids(ours, callers)
    return Ids(callers, ours)


def is_id(raw: str) -> bool:
    """Return whether a text has the form of a message id."""
    return _ID.fullmatch(raw) is not None


def is_ours(message_id: str) -> bool:
    """Return whether an id has our form: hexadecimal digits."""
    return _HEXADECIMAL.fullmatch(message_id) is not None


def as_sent(raw: str) -> str:
    """Return an id as it was sent, "" if it is none; one that came back in capitals, as far as it is in our form."""
    if is_id(raw):
        return raw
    return raw.lower() if is_ours(raw.lower()) else ""


def brief(message_id: str) -> str:
    """Return the beginning of an id, by which people find it; of a caller's id with some of our digits."""
    return message_id[: _BRIEF if is_ours(message_id) else _BRIEF_OF_CALLER]


def octets(message_id: str) -> bytes:
    """Return an id as a batch stores it: 16 octets, or 24 with the letters of a caller."""
    if is_ours(message_id):
        return bytes.fromhex(message_id)
    return message_id[:OF_CALLER].encode() + bytes.fromhex(message_id[OF_CALLER:])


def is_octets(raw: bytes) -> bool:
    """Return whether octets are a stored id."""
    return len(raw) == LENGTH // 2 or (len(raw) == OF_CALLER + 8 and raw[:OF_CALLER].isalnum())


def from_octets(raw: bytes) -> str:
    """Return a stored id."""
    return raw.hex() if len(raw) == LENGTH // 2 else raw[:OF_CALLER].decode() + raw[OF_CALLER:].hex()
