"""Look-alikes: characters outside the GSM alphabet, and what stands for them within it without changing how it reads.

Two tables, each an option of its own: look-alikes, which read the same, and accents, whose loss shows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import NamedTuple

from threelane.contract.text import GSM_7, Alphabet


class StandIn(NamedTuple):
    """Characters, what is sent instead ("": nothing), and why it reads the same."""

    characters: str
    instead: str
    reason: str


_FULL_WIDTH = tuple(
    StandIn(chr(code + 0xFEE0), chr(code), "the same character in the width of Chinese and Japanese type")
    for code in range(0x21, 0x7F)
    if chr(code) in GSM_7
)
# fmt: off
LOOK_ALIKES = (
    StandIn("‘’‚‛‹›", "'", "single quotation marks"),
    StandIn("“”„‟«»", '"', "double quotation marks"),
    StandIn("`´ʼʻ", "'", "an apostrophe, as keyboards and word processors write it"),
    StandIn("′", "'", "minutes and feet: the plain quote is their usual form"),
    StandIn("″", '"', "seconds and inches: the plain quote is their usual form"),
    StandIn("‐‑‒–—―", "-", "hyphens and dashes, which differ in length only"),
    StandIn("−", "-", "a minus"),
    StandIn("…", "...", "an ellipsis: three full stops in one character"),
    StandIn("‥", "..", "two full stops in one character"),
    StandIn("•", "*", "the mark of a list item, or of a hidden digit"),
    StandIn("×", "x", "between sizes and numbers, as in 40x60"),
    StandIn("\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " ",
            "spaces, which differ in width or in where a line may end"),
    StandIn("\u0085\u2028\u2029", "\n", "line ends"),
    StandIn("\u00ad\u200b\u2060\ufeff", "", "show nothing: they only say where a line may end"),
    StandIn("\u200c\u200d", "", "join or separate letters of other scripts, so that they do nothing in this alphabet"),
    StandIn("\u200e\u202a\u202c\u2066\u2068\u2069", "",
            "mark text from left to right, as all text in this alphabet is; copied numbers have them"),
    StandIn("ﬀ", "ff", "a ligature, which only type has"), StandIn("ﬁ", "fi", "a ligature, which only type has"),
    StandIn("ﬂ", "fl", "a ligature, which only type has"), StandIn("ﬃ", "ffi", "a ligature, which only type has"),
    StandIn("ﬄ", "ffl", "a ligature, which only type has"),
    *_FULL_WIDTH,
)
"""Only what reads the same: no superscript (10¹ is not 101), no letter, no sign with a meaning of its own (™, ½, ÷)."""

ACCENTS = (
    StandIn("łđħŧı", "ldhti", "a letter with a stroke, or without its dot, which Unicode does not decompose"),
    StandIn("ŁĐĦŦ", "LDHT", "a letter with a stroke, which Unicode does not decompose"),
    StandIn("œ", "oe", "a ligature that French spells with two letters where its type lacks it"),
    StandIn("Œ", "OE", "the same as a capital"),
    StandIn("ĳ", "ij", "one letter of Dutch, spelt with two"), StandIn("Ĳ", "IJ", "the same as a capital"),
)
"""Besides every letter that Unicode decomposes into a letter of the GSM alphabet and accents."""
# fmt: on


def _translation(rows: tuple[StandIn, ...]) -> dict[int, str]:
    """Return a table for str.translate; as many stand-ins as characters are one for each."""
    found: dict[int, str] = {}
    for row in rows:
        each = row.instead if 1 < len(row.characters) == len(row.instead) else [row.instead] * len(row.characters)
        found.update(zip(map(ord, row.characters), each, strict=True))
    return found


_OVERLAY = 1  # the combining class of strokes through a character; 0: no accent
_LOOK_ALIKES, _ACCENTS = _translation(LOOK_ALIKES), _translation(ACCENTS)


def replace(text: str, *, look_alikes: bool = True, plain_accents: bool = False, alphabet: Alphabet = GSM_7) -> str:
    """Return the text in the GSM alphabet if replacing these is enough, else the text unchanged.

    A partial replacement would change characters and save nothing: one character outside the alphabet keeps the
    whole text in UCS-2.  Letters that the alphabet has with their accent, such as é and ü, keep it.
    """
    if alphabet.issuperset(text):
        return text
    replaced = text.translate(_LOOK_ALIKES) if look_alikes else text
    if plain_accents and not alphabet.issuperset(replaced):
        replaced = "".join(_plain(letter, alphabet) for letter in replaced.translate(_ACCENTS))
    return replaced if alphabet.issuperset(replaced) else text


def translate(text: str) -> str:
    """Return the text with each look-alike replaced, whatever its other characters are; for comparisons."""
    return text if text.isascii() else text.translate(_LOOK_ALIKES)


def needed(outside: Collection[str], alphabet: Alphabet = GSM_7) -> tuple[bool, bool] | None:
    """Return which options bring characters into the alphabet: look-alikes, accents; None if nothing does."""
    has_look_alikes = has_accents = False
    for letter in outside:
        if ord(letter) in _LOOK_ALIKES:
            has_look_alikes = True
        elif ord(letter) in _ACCENTS or alphabet.issuperset(_plain(letter, alphabet)):
            has_accents = True
        else:
            return None
    return has_look_alikes, has_accents


def _plain(letter: str, alphabet: Alphabet) -> str:
    """Return a letter without its accents; a sign keeps them, since a stroke reverses it (≠); overlays stay."""
    if letter in alphabet:
        return letter
    decomposed = unicodedata.normalize("NFD", letter)
    if unicodedata.category(decomposed[0])[0] not in "LM":
        return letter
    return "".join(part for part in decomposed if unicodedata.combining(part) <= _OVERLAY)
