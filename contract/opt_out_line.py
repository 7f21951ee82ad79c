"""Opt-out line: the sentence that tells recipients how to opt out, added to the texts of a lane or a tag."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Self

from threelane.contract import fields, lookalike
from threelane.contract.refusal import Code, Owner, Refusal

MOST_LETTERS = 160
_FORM = "give lane:2, lane:3 or tag:<tag>, as in tag:marketing; lane:1 only if login codes are to have the line, too"


class OptOutLine(NamedTuple):
    """The line of a scope, ``lane:<lane>`` or ``tag:<tag>``."""

    scope: str
    text: str

    def ending(self, text: str) -> str:
        """Return what follows a text: a line end and the line; "" if the text has the line already."""
        return "" if _words(self.text).search(_plain(text)) else f"\n{self.text}"


class OptOutLines(NamedTuple):
    """The lines of an installation, and the scopes whose line is unreadable."""

    by_scope: Mapping[str, str] = {}
    unreadable: frozenset[str] = frozenset()

    @classmethod
    def decode(cls, rows: Mapping[bytes, bytes]) -> Self:
        """Return the lines in the hash ``tl:opt-out-lines``."""
        lines: dict[str, str] = {}
        unreadable: set[str] = set()
        for name, value in sorted(rows.items()):
            scope = name.decode("utf-8", "backslashreplace")
            try:
                lines[scope] = parse_line(value.decode())
            except ValueError:
                unreadable.add(scope)
        return cls(lines, frozenset(unreadable))

    def applying(self, lane: int, tags: Sequence[str]) -> OptOutLine | Refusal | None:
        """Return the line of the first tag that has one, else that of the lane; lane 1 has only its own.

        Nothing is accepted whose line is unreadable: it would be sent without one.
        """
        scopes = [f"tag:{tag}" for tag in tags] if lane > 1 else []
        for scope in (*scopes, f"lane:{lane}"):
            if scope in self.unreadable:
                return _damaged(scope)
            if scope in self.by_scope:
                return OptOutLine(scope, self.by_scope[scope])
        return None


def parse_scope(text: str) -> str:
    """Return the scope of a line; raises ValueError with the correct form."""
    kind, _, name = text.strip().partition(":")
    if kind == "lane" and name in map(str, fields.LANES):
        return f"lane:{name}"
    if kind != "tag":
        raise ValueError(f"{text!r} cannot have an opt-out line: {_FORM}")
    tag = fields.label(name, "tag")
    if isinstance(tag, Refusal):
        raise ValueError(f"{tag.problem}: a tag has {tag.remedy}")
    return f"tag:{tag}"


def parse_line(text: str) -> str:
    """Return a line as it is added; raises ValueError with the problem and the correct form."""
    line = unicodedata.normalize("NFC", text).strip()
    kinds = {unicodedata.category(letter) for letter in line}
    if not any(kind[0] in "LN" for kind in kinds):
        raise ValueError('the opt-out line is empty: give a sentence, as in "Reply STOP to end"')
    if kinds & {"Cc", "Cs", "Zl", "Zp"}:
        raise ValueError("the opt-out line is one line of text, without control characters")
    if len(line) > MOST_LETTERS:
        raise ValueError(f"the opt-out line has {len(line)} characters: give at most {MOST_LETTERS}")
    return line


def _plain(text: str) -> str:
    """Return a text in NFC without the differences that readers do not see: case, white space and look-alikes."""
    return " ".join(lookalike.translate(text).casefold().split())


@lru_cache(maxsize=64)
def _words(line: str) -> re.Pattern[str]:
    """Return a pattern for a line in a plain text, as words of their own: "unstoppable" has no STOP."""
    words = _plain(line)
    before = r"(?<!\w)" if _is_spaced(words[0]) else ""
    after = r"(?!\w)" if _is_spaced(words[-1]) else ""
    return re.compile(before + re.escape(words) + after)


def _is_spaced(letter: str) -> bool:
    """Return whether a letter is of a script with capitals, all of which put spaces between words."""
    return letter.lower() != letter.upper() or letter.isdigit()


def _damaged(scope: str) -> Refusal:
    kind, _, name = scope.partition(":")
    return Refusal(
        code=Code.INVALID,
        field="tags" if kind == "tag" else "lane",
        problem=f"the stored opt-out line of {scope} is damaged, so nothing is sent that needs it",
        remedy=f"ask an operator to set it again: threelane template opt-out set {f'{kind}:{name}'!r} TEXT",
        owner=Owner.OPERATOR,
    )
