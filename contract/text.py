"""Text: the encoding of a message and its number of parts, counted as a handset concatenates them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeAlias

# 3GPP TS 23.038, basic set: one septet each.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# The extension set: an escape and a code, two septets each.
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
GSM_7 = GSM_BASIC | GSM_EXTENSION
Alphabet: TypeAlias = frozenset[str]
"""The letters that are sent in septets: those of GSM-7, or fewer if the gateway's charset lacks some."""
_all_basic = re.compile(f"[{re.escape(''.join(sorted(GSM_BASIC)))}]*").fullmatch

OCTETS = 140  # of one SMS
CONCAT_OCTETS = 6  # the header that joins parts: 05 00 03 reference total number
CONCAT_ELEMENT_OCTETS = 5  # the same as an element of an existing user data header


_NORMALISED_AT_ONCE = 1_000  # characters; sorting the accents of one letter takes the square of their number
_pieces = re.compile(f"(?s).{{1,{_NORMALISED_AT_ONCE}}}(?=[ -~])|.{{1,{_NORMALISED_AT_ONCE}}}").findall


class Encoding(StrEnum):
    """The encoding of the body: septets, UTF-16 code units, or octets."""

    GSM_7 = "gsm7"
    UCS_2 = "ucs2"
    BINARY = "binary"


class Size(NamedTuple):
    """The size of a body; ``units`` are septets, code units or octets, by encoding."""

    encoding: Encoding
    units: int
    parts: int


def composed(text: str) -> str:
    """Return the text in NFC, the form with the fewest accents of their own, so that e and an accent are one é.

    A long text is normalised in pieces that end before an ASCII character, where nothing composes; so hundreds of
    accents on one letter cost no time.
    """
    if text.isascii():
        return text
    if len(text) > _NORMALISED_AT_ONCE:
        return "".join(unicodedata.normalize("NFC", piece) for piece in _pieces(text))
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def decomposed(text: str) -> str:
    """Return the text in NFD, as programs of macOS write it; a text too long for a message as it is."""
    return text if len(text) > _NORMALISED_AT_ONCE else unicodedata.normalize("NFD", text)


def measure(text: str, *, unicode: bool = False, udh_octets: int = 0, alphabet: Alphabet = GSM_7) -> Size:
    """Count the parts of a text by filling them one by one; a letter outside ``alphabet`` makes it UCS-2.

    An escape pair or a surrogate pair is never split between parts, so 229 braces take 4 parts although their 458
    septets are fewer than 3 x 153.  Raises UnicodeEncodeError for half a surrogate pair.  Source: 3GPP TS
    23.038 and 23.040.
    """
    basic = not unicode and alphabet is GSM_7 and _all_basic(text) is not None
    if basic or (not unicode and alphabet.issuperset(text)):
        pairs = 0 if basic else sum(map(text.count, GSM_EXTENSION))
        single, part = _septets(udh_octets)
        units = len(text) + pairs
        return Size(Encoding.GSM_7, units, _parts(text, units, single, part, _is_escaped if pairs else None))
    units = len(text.encode("utf-16-be")) // 2
    single, part = _code_units(udh_octets)
    is_pair = _is_surrogate_pair if units > len(text) else None
    return Size(Encoding.UCS_2, units, _parts(text, units, single, part, is_pair))


def measure_binary(octets: int, udh_octets: int = 0) -> Size:
    """Count the parts of 8-bit data."""
    single, part = _octets(udh_octets)
    return Size(Encoding.BINARY, octets, _parts("", octets, single, part, None))


def longest_fit(
    text: str,
    max_parts: int,
    *,
    unicode: bool = False,
    udh_octets: int = 0,
    ending: str = "",
    alphabet: Alphabet = GSM_7,
) -> int:
    """Return the length of the longest beginning of the text that fits into max_parts, without splitting a pair.

    ``ending`` is what follows it: its room is left.
    """
    low, high = 0, min(len(text), max_parts * _septets(0)[0])
    while low < high:  # within one alphabet a longer prefix never needs fewer parts
        middle = (low + high + 1) // 2
        if (
            measure(text[:middle] + ending, unicode=unicode, udh_octets=udh_octets, alphabet=alphabet).parts
            <= max_parts
        ):
            low = middle
        else:
            high = middle - 1
    return low


def room(encoding: Encoding, udh_octets: int = 0) -> tuple[int, int]:
    """Return how many units a message of one part has, and how many each of several parts."""
    return _ROOM[encoding](udh_octets)


def _septets(udh_octets: int) -> tuple[int, int]:
    if not udh_octets:
        return 160, 153
    joined = udh_octets + CONCAT_ELEMENT_OCTETS
    return (OCTETS - udh_octets) * 8 // 7, (OCTETS - joined) * 8 // 7


def _octets(udh_octets: int) -> tuple[int, int]:
    if not udh_octets:
        return OCTETS, OCTETS - CONCAT_OCTETS
    return OCTETS - udh_octets, OCTETS - udh_octets - CONCAT_ELEMENT_OCTETS


def _code_units(udh_octets: int) -> tuple[int, int]:
    single, part = _octets(udh_octets)
    return single // 2, part // 2


_ROOM = {Encoding.GSM_7: _septets, Encoding.UCS_2: _code_units, Encoding.BINARY: _octets}


def _is_escaped(letter: str) -> bool:
    return letter in GSM_EXTENSION


def _is_surrogate_pair(letter: str) -> bool:
    return letter > "\uffff"


def _parts(text: str, units: int, single: int, part: int, is_pair: Callable[[str], bool] | None) -> int:
    """Return how many parts ``units`` fill; ``is_pair`` finds letters that take two units, None if there are none."""
    if units <= single:
        return 1
    if not is_pair:
        return -(-units // part)
    parts, filled = 1, 0
    for letter in text:
        width = 2 if is_pair(letter) else 1
        if filled + width > part:
            parts, filled = parts + 1, 0
        filled += width
    return parts
