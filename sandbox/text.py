"""Counts the parts of a text by filling them character by character, and decodes UCS-2 hex."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED: Final = "\f^{}\\[~]|€"  # escape and code: two septets each

PART_OCTETS: Final = 140
JOINING_OCTETS: Final = 5  # the header element that joins parts, without the header's length octet

_BASIC_ONLY: Final = re.compile(f"[{re.escape(BASIC)}]*")
_UNMAPPABLE: Final = re.compile(f"[^{re.escape(BASIC + EXTENDED)}]")
_HEX: Final = re.compile(r"[0-9A-Fa-f]*")
_EXTENDED_SET: Final = frozenset(EXTENDED)


class TextEncoding(StrEnum):
    """The encoding of a body."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"
    OCTETS = "8bit"


def deliverable(text: str) -> str:
    """Returns a text as a handset shows it without `unicode`: `?` for each character not in GSM 03.38."""
    return _UNMAPPABLE.sub("?", text)


def gsm_parts(text: str, header_octets: int = 0) -> int:
    """Returns the parts of a GSM text; an escape pair never straddles two parts."""
    single, joined = (octets * 8 // 7 for octets in _room(header_octets))
    if len(text) <= single and _BASIC_ONLY.fullmatch(text):
        return 1
    return _fill((2 if letter in _EXTENDED_SET else 1 for letter in text), single, joined)


def ucs2_parts(text: str, header_octets: int = 0) -> int:
    """Returns the parts of a UCS-2 text; a surrogate pair never straddles two parts."""
    single, joined = (octets // 2 for octets in _room(header_octets))
    return _fill((2 if letter > "\uffff" else 1 for letter in text), single, joined)


def octet_parts(count: int, header_octets: int = 0) -> int:
    """Returns the parts of that many octets of 8-bit data."""
    single, joined = _room(header_octets)
    return _fill((1 for _ in range(count)), single, joined)


def cut(text: str, as_ucs2: bool) -> list[str]:
    """Returns the texts of the parts as a handset sends them: one, or as many as joined parts require."""
    if as_ucs2:
        sizes = [2 if letter > "\uffff" else 1 for letter in text]
        single, joined = (octets // 2 for octets in _room(0))
    else:
        sizes = [2 if letter in _EXTENDED_SET else 1 for letter in text]
        single, joined = (octets * 8 // 7 for octets in _room(0))
    if sum(sizes) <= single:
        return [text]
    starts, left = [0], joined
    for place, size in enumerate(sizes):
        if size > left:
            starts.append(place)
            left = joined
        left -= size
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def from_ucs2_hex(digits: str) -> str | None:
    """Returns the text of UTF-16BE hex, or None when digits are missing or a surrogate is unpaired."""
    octets = from_hex(digits)
    if octets is None or len(octets) % 2:
        return None
    try:
        return octets.decode("utf-16-be")
    except UnicodeDecodeError:
        return None


def from_hex(digits: str) -> bytes | None:
    """Returns the octets of a hex string, or None when it is not one."""
    if len(digits) % 2 or not _HEX.fullmatch(digits):
        return None
    return bytes.fromhex(digits)


def _room(header_octets: int) -> tuple[int, int]:
    """Returns the octets left in a single part and in one of several, after a user data header of that length."""
    return PART_OCTETS - header_octets, PART_OCTETS - (header_octets or 1) - JOINING_OCTETS


def _fill(units: Iterable[int], single: int, joined: int) -> int:
    sizes = list(units)
    if sum(sizes) <= single:
        return 1
    parts, left = 1, joined
    for size in sizes:
        if size > left:
            parts, left = parts + 1, joined
        left -= size
    return parts
