"""Spelling: the plain form in which replies and words are compared, and the disguised spellings of a word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_ACCENTS = re.compile(r"[\u0300-\u036f]")  # of Latin, Greek and Cyrillic letters; other scripts' marks are letters
_INVISIBLE = re.compile(r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_SPACED = re.compile(r"\w(?: \w)+")

# fmt: off
_LATIN = str.maketrans({
    # Cyrillic
    "А": "A", "В": "B", "С": "C", "Е": "E", "Н": "H", "І": "I", "Ј": "J", "К": "K", "М": "M", "О": "O", "Р": "P",
    "Ѕ": "S", "Т": "T", "У": "Y", "Х": "X", "Ԛ": "Q", "Ԝ": "W", "Ԁ": "D", "Ѵ": "V", "Ӏ": "l",
    "а": "a", "с": "c", "е": "e", "һ": "h", "і": "i", "ј": "j", "о": "o", "р": "p", "ѕ": "s", "т": "t", "у": "y",
    "х": "x", "ԛ": "q", "ԝ": "w", "ԁ": "d", "ѵ": "v", "ӏ": "l",
    # Greek
    "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N", "Ο": "O", "Ρ": "P",
    "Τ": "T", "Υ": "Y", "Χ": "X", "Ϲ": "C", "α": "a", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "τ": "t",
    "υ": "u", "χ": "x", "ϲ": "c", "σ": "o",
    # Armenian, Cherokee and small capitals
    "Տ": "S", "Օ": "O", "ո": "n", "ս": "u", "օ": "o", "Ꮪ": "S", "Ꭲ": "T", "Ꮲ": "P", "Ꭼ": "E", "Ꮯ": "C",
    "ᴀ": "a", "ʙ": "b", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ɪ": "i", "ʟ": "l", "ɴ": "n", "ᴏ": "o", "ᴘ": "p", "ʀ": "r",
    "ꜱ": "s", "ᴛ": "t", "ᴜ": "u", "ᴠ": "v",
})
_LATIN |= {first + at: chr(65 + at) for first in (0x1F150, 0x1F170, 0x1F1E6) for at in range(26)}
# fmt: on
"""Letters that look like Latin ones (Unicode TR39, confusables.txt), as far as the words have them; and letters of
flags, of dark circles and of dark squares."""


def plain(text: str) -> str:
    """Return a text without case, accents, punctuation and invisible characters, with one space between words."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", _INVISIBLE.sub("", folded)))
    return " ".join("".join(_shown(letter) for letter in unicodedata.normalize("NFC", bare)).split())


def disguised(text: str) -> Iterator[str]:
    """Yield the plain forms that a text has if its look-alike letters are Latin, and if its spaced letters are a word.

    They stand for what the text looks like: "ЅТОР" with Cyrillic letters, or "S T O P".
    """
    latin = plain(unicodedata.normalize("NFKC", text).translate(_LATIN))
    yield latin
    for spelling in (plain(text), latin):
        if _SPACED.fullmatch(spelling):
            yield spelling.replace(" ", "")


def _shown(letter: str) -> str:
    """Keep letters, digits and marks, drop invisible characters, and replace others by a space."""
    category = unicodedata.category(letter)
    return letter if category[0] in "LNM" else "" if category == "Cf" else " "
