"""Cut: the beginning of a text that is too long, which ends between words and loses no link and no number."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from threelane.contract import grapheme
from threelane.contract.invisible import TRAILING, is_invisible
from threelane.contract.text import GSM_7, Alphabet, longest_fit

LEAST_SHARE = 2  # at least one half of what fits is kept
LOST_DIGITS = 3  # a number with as many digits is never removed: it may be a code, a price or a number to call
_BEYOND = 8  # characters read beyond what fits, to see whether a number goes on there

_LINK = r"(?:[a-z][a-z0-9+.-]{1,20}://|www\.)[^\s<>\"“”，。！？、；：（）《》「」『』【】]+"
_ADDRESS = r"[a-z0-9._%+-]{1,64}@[a-z0-9.-]+"
_HOST = r"(?<![\w.-])(?:[\w-]{1,63}\.)+[^\W\d_]{2,}(?!\w)(?:[/?#:][^\s<>\"“”，。！？、；：（）《》「」]*)?"
_DIGIT = "[\\d①-⑳⓪]"
_BETWEEN = r"[.,:/'’ \u00a0\u202f–_•·\ufe0f\u20e3-]"  # the last two make a digit the picture of a key
_NUMBER = (
    rf"(?:(?<![a-z])[a-z]{{1,12}}-?)?[+#$€£¥]?{_DIGIT}(?:[a-z]|{_DIGIT}|{_BETWEEN}{{1,4}}(?={_DIGIT}))*"
    r"(?:[ \u00a0\u202f]?[%°])?"
)
_whole = re.compile(f"(?i){_LINK}|{_ADDRESS}|{_HOST}|{_NUMBER}").finditer
"""What no cut may end inside."""

_digits = rf"(?:{_DIGIT}(?:\s|{_BETWEEN}){{0,4}}){{{LOST_DIGITS}}}"
_mixed = r"(?<![a-z0-9])(?=[a-z0-9]{4})(?:[a-z]+\d|\d+[a-z])"
_lost = re.compile(f"(?i)(?P<link>[a-z]://|www\\.|@[a-z0-9]|{_HOST})|{_digits}|{_mixed}").search
"""What no cut may remove: links, addresses, numbers, and codes of letters and digits."""

# Scripts that write words without spaces: their words end where only a dictionary knows.
_without_spaces = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u2e80-\u312f\u31a0-\u31ff\u3400-\u4dbf"
    "\u4e00-\ua4cf\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff65-\uff9f\U00020000-\U0003ffff]"
).match
_CLOSING = frozenset("。．！？；，、：）」』】》…ฯๆ។")  # ends a sentence or a phrase in them
_JOINING = frozenset("'’.-_‑·")  # inside words, such as don't and e-mail


class Cut(NamedTuple):
    """The beginning of a text, and what was removed."""

    text: str
    removed: str


class NotCut(NamedTuple):
    """Why a text cannot be cut."""

    problem: str


def cut(
    text: str,
    max_parts: int,
    *,
    unicode: bool = False,
    udh_octets: int = 0,
    ending: str = "",
    alphabet: Alphabet = GSM_7,
) -> Cut | NotCut:
    """Return as much of a text as fits into max_parts and ends between words, or why nothing sensible does.

    It ends inside no link, number, word or character as a reader sees it, keeps at least one half of what fits, and
    removes no link and no number of three digits or more.  ``ending`` is what follows it: its room is left.
    """
    fit = longest_fit(text, max_parts, unicode=unicode, udh_octets=udh_octets, ending=ending, alphabet=alphabet)
    at = _last_end(text, fit)
    kept = text[:at].rstrip(TRAILING)
    if not at or is_invisible(kept):
        return NotCut(f"there is no place between two words in the second half of the {fit} characters that fit")
    removed = text[len(kept) :]
    if lost := _lost(removed):
        what = "a link" if lost["link"] else "a number or a code"
        return NotCut(f"cutting it would remove {what} at character {len(kept) + lost.start() + 1}")
    return Cut(kept, removed)


def _last_end(text: str, fit: int) -> int:
    """Return the last index up to ``fit`` where the text may end; 0 if there is none.

    Texts of scripts without spaces end after their punctuation, or else between two characters.
    """
    if fit >= len(text):
        return fit
    window = text[: fit + _BEYOND]
    inside = {at for span in _whole(window) for at in range(span.start() + 1, span.end())}
    ends = [
        at
        for at in range(fit, max(fit // LEAST_SHARE, 1) - 1, -1)
        if at not in inside and grapheme.is_boundary(text, at)
    ]
    between_words = (at for at in ends if _ends_word(text[at - 1], text[at]))
    return next(between_words, 0) or next((at for at in ends if _ends_letter(text[at - 1], text[at])), 0)


def _ends_word(before: str, after: str) -> bool:
    if before.isspace() or after.isspace() or before in _CLOSING:
        return True
    if unicodedata.category(before) == "So" or unicodedata.category(after) == "So":
        return True  # a picture
    return not (_is_of_word(before) or _is_of_word(after))


def _ends_letter(before: str, after: str) -> bool:
    return after not in _CLOSING and bool(_without_spaces(before) or _without_spaces(after))


def _is_of_word(letter: str) -> bool:
    return letter in _JOINING or unicodedata.category(letter)[0] in "LNM"
