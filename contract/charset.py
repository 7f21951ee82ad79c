"""Charset: the form in which letters beyond ASCII go to an API whose texts have a charset, and the evidence for it.

No document names the charset of the HTTP API's ``text``, so it is a setting; every other letter goes as Unicode.  Which
letters go without it decides how many parts a message has, so the setting is read where messages are accepted, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

from threelane.contract.gateways import named
from threelane.contract.text import GSM_7, Alphabet

Charset: TypeAlias = Literal["utf-8", "windows-1252", "ucs-2"]
CP_1252 = "cp1252"


class Letters(NamedTuple):
    """Letters of GSM-7 that are known to the same degree to arrive, and the sources."""

    letters: str
    evidence: str


# fmt: off
KNOWN = (
    Letters("éèùìòøåæñöäüàØÅÆÉÄÖÑÜß£¥¤§¡¿",
            "as Windows-1252: each arrived, one tester on one network (BenMorel/Clickatell, MessageConverter); so does "
            "Clickatell's FAQ 121 describe the default. As UTF-8: Kannel sends `charset=UTF-8`; no report"),
    Letters("€",
            "as Windows-1252: the octet 80, by the same tester and by FAQ 121, which counts it as two characters. As "
            "UTF-8: Kannel; no report"),
    Letters("Ç",
            "as Windows-1252: FAQ 121 lists it as C7; the tester left it out. As UTF-8: Kannel; no report"),
    Letters("ΔΦΓΛΩΠΨΣΘΞ",
            "Windows-1252 lacks them, and the tester left them out. As UTF-8: Kannel; no report"),
)
# fmt: on
"""The letters of GSM-7 beyond ASCII."""

_ASCII = frozenset(filter(str.isascii, GSM_7))


def _has(letter: str, codec: str) -> bool:
    try:
        letter.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


ALPHABETS: Mapping[Charset, Alphabet] = {
    "utf-8": GSM_7,
    "windows-1252": frozenset(letter for letter in GSM_7 if _has(letter, CP_1252)),
    "ucs-2": _ASCII,
}
"""The letters of GSM-7 that go without ``unicode=1``."""


@cache
def alphabet(gateway: str, charset: Charset) -> Alphabet:
    """Return the letters that go to a gateway without Unicode; all of GSM-7, if its texts have no charset."""
    return ALPHABETS[charset] if named(gateway).has_charset else GSM_7
