"""Reply address: numbers that receive replies and the keyword of a reply, each in one form."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from threelane.contract import phone, senders, spreadsheet
from threelane.contract.refusal import Refusal
from threelane.contract.subscriber import spellings, subscriber

MOST_LETTERS = 32  # of a keyword
_PUNCTUATION = re.compile(r"[\s().\-/\u2010-\u2015]+")
_SHORT_CODE = re.compile(r"[1-9][0-9]{2,7}")
_DIGITS = re.compile(r"[0-9]{3,15}")
_PERSON = re.compile(r"[0-9]{7,15}")


@lru_cache(maxsize=1024)  # few numbers of ours, and many messages from each
def number_of(raw: str) -> str:
    """Return a number of ours, as the gateway or a message writes it, in one form; "" if nobody can reply to it."""
    digits = _digits(raw)
    if not _DIGITS.fullmatch(digits):
        return ""  # a name, or no sender
    parsed = phone.parse(digits)
    return subscriber(digits) if isinstance(parsed, Refusal) else parsed


def senders_of(to: str) -> tuple[str, ...]:
    """Return the senders that a reply to ``to`` answers: its spellings, the present one first; () if it cannot send."""
    sender = senders.parse(number_of(to) or to, "sender")
    return () if isinstance(sender, Refusal) else spellings(sender)


def parse_number(raw: str) -> str:
    """Return a number of ours that an operator gave, in the same form; raises ValueError with the correct form."""
    parsed = phone.parse(raw)
    if not isinstance(parsed, Refusal):
        return parsed
    restored = spreadsheet.restore(raw.strip())
    if isinstance(restored, str) and _SHORT_CODE.fullmatch(code := re.sub(r"[\s-]", "", restored)):
        return code
    raise ValueError(
        f"{raw[:40]!r} is not a number that receives replies: {parsed.problem}; "
        "give a number with its country code, such as +12025550177, or a short code, such as 72975"
    )


def keyword_of(text: str) -> str:
    """Return the first word of a text without case, accents and punctuation; "" if it has none."""
    return next((word for one in text.split() if (word := _plain(one))), "")[:MOST_LETTERS]


def parse_keyword(raw: str) -> str:
    """Return a keyword in the form of ``keyword_of``; raises ValueError unless it is one word."""
    words = [word for one in raw.split() if (word := _plain(one))]
    if len(words) != 1 or len(words[0]) > MOST_LETTERS:
        raise ValueError(f"{raw[:40]!r} is not a keyword; give one word of up to {MOST_LETTERS} letters and digits")
    return words[0]


def is_person(sender: str) -> bool:
    """Return whether the sender of a reply is a person's number, not a name or a short code of up to 6 digits."""
    return bool(_PERSON.fullmatch(sender))


def _digits(raw: str) -> str:
    return _PUNCTUATION.sub("", raw).removeprefix("+").removeprefix("00")


def _plain(word: str) -> str:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", word).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LN")
