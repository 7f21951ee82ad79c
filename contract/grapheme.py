"""Grapheme: where a text may be split without tearing what a reader sees as one character.

The rules are those of Unicode's UAX 29, from the standard library's categories and combining classes instead of its
tables: a split that UAX 29 forbids is never found; a few that it allows, after a virama, are not found either.
"""

from __future__ import annotations

import re
import unicodedata

_ZWJ = "\u200d"
_VIRAMA = 9  # the combining class of a virama, which joins two consonants of an Indic script
_MARKS = frozenset(("Mn", "Mc", "Me"))
_JOINED = frozenset("\u200c\u0e33\u0eb3\uff9e\uff9f")  # extend the letter before, though their category is another
_TAGS = range(0xE0020, 0xE0080)  # spell the flag of a region after a black flag
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)  # two of them are one flag
_PREPENDED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2\U000111c3"
    "\U0001193f\U00011941\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89\U00011d46\U00011f02"
)
_leading_jamo = re.compile("[\u1100-\u115f\ua960-\ua97c]").match
_syllable_or_vowel = re.compile("[\u1100-\u11a7\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7c6]").match
_later_jamo = re.compile("[\u1160-\u11ff\ud7b0-\ud7c6\ud7cb-\ud7fb]").match
_MOST_MARKS = 30  # after a letter, in the stream-safe form of Unicode
_LEAST_EXTENDING = "\u0300"  # no lower character extends another


def is_boundary(text: str, at: int) -> bool:
    """Return whether the text may be split before the character at an index: both parts show what they showed."""
    if not 0 < at < len(text):
        return True
    before, after = text[at - 1], text[at]
    if before == "\r" and after == "\n":
        return False
    if before < _LEAST_EXTENDING and after < _LEAST_EXTENDING:
        return True
    if before in _PREPENDED:
        return False
    if after.isspace():
        return True
    if before == _ZWJ or _extends(after):
        return False
    if ord(after) in _FLAG_LETTERS and _flag_letters_before(text, at) % 2:
        return False
    if _later_jamo(after) or (_leading_jamo(before) and _syllable_or_vowel(after)):
        return False
    return not (after.isalpha() and _ends_with_virama(text, at))


def _extends(letter: str) -> bool:
    if letter == _ZWJ or letter in _JOINED or unicodedata.category(letter) in _MARKS:
        return True
    return ord(letter) in _SKIN_TONES or ord(letter) in _TAGS


def _ends_with_virama(text: str, at: int) -> bool:
    """Return whether a virama joins what follows, whatever marks are between."""
    for earlier in range(at - 1, max(at - 1 - _MOST_MARKS, -1), -1):
        if unicodedata.combining(text[earlier]) == _VIRAMA:
            return True
        if not _extends(text[earlier]):
            return False
    return False


def _flag_letters_before(text: str, at: int) -> int:
    start = at
    while start and ord(text[start - 1]) in _FLAG_LETTERS:
        start -= 1
    return at - start
