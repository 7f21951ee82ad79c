"""Letters: the table of docs/texts.md: each letter beyond ASCII, its form on the HTTP API, and the evidence.

``python -m threelane.operations.letters`` prints it, from the forms that are sent; a test holds the page to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from threelane.contract.charset import ALPHABETS, KNOWN, Charset
from threelane.contract.message import Draft, parse
from threelane.contract.text import GSM_EXTENSION
from threelane.gateways.http import gateway as http

_CHARSETS: tuple[Charset, ...] = get_args(Charset)
_ANY_NUMBER, _ANY_TIME = "27831234567", 1_800_000_000_000
_OTHERS = (
    ("A to Z, a to z, 0 to 9, and the signs of ASCII in GSM-7", "A", "ASCII, as every client sends it"),
    (" ".join(sorted(GSM_EXTENSION - {"\f", "€"})), "[", "ASCII; FAQ 121 counts each as two characters"),
    ("` and every other letter, as ç, ж and emojis", "ç", "2006 specification, 8.2.13, and all clients"),
)


def wire(letter: str, charset: Charset) -> str:
    """Return the fields of ``sendmsg`` that a text of one letter has, as they are encoded."""
    draft = parse({"to": _ANY_NUMBER, "text": letter}, _ANY_TIME, alphabet=ALPHABETS[charset])
    assert isinstance(draft, Draft)
    sent = http.encode(http.form(draft.message, _ANY_TIME, charset=charset)).decode()
    return "&".join(pair for pair in sent.split("&") if pair.partition("=")[0] in ("text", "unicode", "charset"))


def table() -> Iterator[str]:
    """Yield the table's lines."""
    yield f"| letters | {' | '.join(f'`{charset}`' for charset in _CHARSETS)} | evidence |"
    yield "|---" * (len(_CHARSETS) + 2) + "|"
    rows = [*_OTHERS[:2], *((" ".join(one.letters), one.letters[0], one.evidence) for one in KNOWN), *_OTHERS[2:]]
    for letters, example, evidence in rows:
        forms = " | ".join(f"`{wire(example, charset)}`" for charset in _CHARSETS)
        yield f"| {letters.replace('|', chr(92) + '|')} | {forms} | {evidence} |"


def main() -> None:
    """Print the table."""
    print("\n".join(table()))


if __name__ == "__main__":
    main()
