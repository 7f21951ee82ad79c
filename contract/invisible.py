"""Invisible: texts of which a handset would show nothing."""

from __future__ import annotations

import unicodedata

from threelane.contract.refusal import Code, Refusal

# Letters and symbols without a shape; their category alone does not say so.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159")  # Hangul fillers, Braille blank, null note head
_VISIBLE_FORMATS = frozenset("\u06dd\u070f\u08e2\u0890\u0891\U000110bd\U000110cd") | frozenset(
    map(chr, range(0x600, 0x606))
)  # signs that enclose or precede digits and are drawn
_INVISIBLE_CATEGORIES = frozenset(("Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Mc", "Me"))

TRAILING = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff\u200e\u200f"
    "\u00ad\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2800"
)
"""White space, and the marks without width that copied texts end with."""


def is_invisible(text: str) -> bool:
    """Return whether a text shows nothing: white space, control and format characters, or accents without a letter."""
    first = text[:1]
    if "!" <= first <= "~":  # the usual case
        return False
    return not any(map(_shows, text))


def empty(text: str, field: str) -> Refusal:
    """Return the refusal of a text that shows nothing, with its characters."""
    shown = sorted({f"U+{ord(letter):04X}" for letter in text if not letter.isspace()})[:5]
    return Refusal(
        code=Code.EMPTY,
        field=field,
        problem=f"the text shows nothing: its characters are invisible ({', '.join(shown)})"
        if shown
        else "the text is empty",
        remedy="give it a text",
    )


def _shows(letter: str) -> bool:
    if unicodedata.category(letter) in _INVISIBLE_CATEGORIES:
        return letter in _VISIBLE_FORMATS
    return letter not in _BLANK and not _is_reserved_ignorable(ord(letter))


def _is_reserved_ignorable(code: int) -> bool:
    """Return whether a code point without a character is reserved for invisible ones (Default_Ignorable_Code_Point)."""
    return code == 0x2065 or 0xFFF0 <= code <= 0xFFF8 or 0xE0000 <= code <= 0xE0FFF
