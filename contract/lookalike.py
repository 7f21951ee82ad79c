"""Look-alikes: characters outside the GSM alphabet, and the similar characters within it."""

from __future__ import annotations

import unicodedata

from threelane.contract.text import GSM_7

# fmt: off
_TABLE = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'", "ʼ": "'",
    "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"', "«": '"', "»": '"',
    "‹": "<", "›": ">",
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
    "…": "...", "•": "*", "·": ".", "×": "x", "÷": "/",
    "\u00a0": " ", "\u2002": " ", "\u2003": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ", "\t": " ",
    "\u00ad": None, "\u200b": None, "\u200c": None, "\u200d": None, "\ufeff": None,
    "ç": "c", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "œ": "oe", "Œ": "OE", "ĳ": "ij",
    "©": "(c)", "®": "(R)", "™": "TM",
})
# fmt: on


def replace(text: str) -> str:
    """Return the text in the GSM alphabet if replacing look-alikes is enough, else the text unchanged.

    A partial replacement would change characters and save nothing: one character outside the alphabet keeps the
    whole text in UCS-2.
    """
    if GSM_7.issuperset(text):
        return text
    replaced = "".join(map(_letter, text.translate(_TABLE)))
    return replaced if GSM_7.issuperset(replaced) else text


def _letter(letter: str) -> str:
    if letter in GSM_7:
        return letter
    decomposed = unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in decomposed if not unicodedata.combining(part))
    return plain or letter
