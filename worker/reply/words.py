"""Words: the lists of words that stop or restart messages to a recipient who replies with one of them.

Source: Clickatell's guide lists the English STOP words and requires that they are honoured; START and UNSTOP are
industry practice.  Operators add the words of their countries.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

Meaning = Literal["stop", "start", ""]
ENGLISH: Mapping[str, tuple[str, ...]] = {
    "stop": ("STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "STOP STOP", "STOP ALL"),
    "start": ("START", "UNSTOP"),
}
_MOST = 70  # letters of a word; a whole SMS of most scripts


class Words(msgspec.Struct, frozen=True):
    """The words of all languages, in the plain form in which texts are compared."""

    stop: frozenset[str]
    start: frozenset[str]

    def meaning(self, text: str) -> Meaning:
        """Return the meaning of a whole message; ignores case, spaces and punctuation, but not other words."""
        word = plain(text)
        return "stop" if word in self.stop else "start" if word in self.start else ""


def plain(text: str) -> str:
    """Return a text normalized for comparison: letters and digits without case, one space between words."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(_shown(letter) for letter in folded).split())


def build(languages: Mapping[str, Any]) -> Words:
    """Return the words of these languages and the English ones of Clickatell, which always count.

    ``languages`` is ``{"fr": {"stop": ["ARRET"], "start": ["DEBUT"]}}``.  Raises ValueError with the language and
    the word of the problem.
    """
    meanings: dict[str, tuple[str, str]] = {}  # what a word means, and in which language
    for language, kind, word in (*_words("Clickatell's English", ENGLISH), *_all(languages)):
        known, where = meanings.setdefault(plain(word), (kind, language))
        if known != kind:
            raise ValueError(f"{language}: {word!r} cannot mean {kind}, since it means {known} in {where}")
    by_kind = {kind: frozenset(word for word, (mine, _) in meanings.items() if mine == kind) for kind in ENGLISH}
    return Words(by_kind["stop"], by_kind["start"])


def load(path: Path | str | None = None) -> Words:
    """Return the words of an operator's JSON file besides the English ones; raises ValueError with the problem."""
    if path is None:
        return build({})
    try:
        content = msgspec.json.decode(Path(path).read_bytes())
    except OSError as away:
        raise ValueError(f"{path}: {away.strerror or 'cannot be read'}") from None
    except (ValueError, RecursionError) as broken:
        raise ValueError(f"{path} is not JSON: {broken}") from None
    try:
        return build(content)
    except ValueError as wrong:
        raise ValueError(f"{path}: {wrong}") from None


def load_or_exit(path: Path | str | None) -> Words:
    """Return the words, or exit with code 2 and the reason on standard error."""
    try:
        return load(path)
    except ValueError as wrong:
        print(f"threelane: THREELANE_WORDS_FILE is invalid\n  {wrong}", file=sys.stderr)
        raise SystemExit(2) from None


def _all(languages: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if not isinstance(languages, Mapping):
        raise ValueError('the languages should be an object, such as {"fr": {"stop": ["ARRET"]}}')
    for language, lists in languages.items():
        if not plain(language):
            raise ValueError('a language has no name; it should be one such as "fr"')
        if not isinstance(lists, Mapping):
            raise ValueError(f'{language}: an object was expected, such as {{"stop": ["ARRET"], "start": ["DEBUT"]}}')
        yield from _words(language, lists)


def _words(language: str, lists: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for kind, words in lists.items():
        if kind not in ENGLISH:
            raise ValueError(f"{language}: {kind!r} is not known; there are stop and start")
        if not isinstance(words, list | tuple):
            raise ValueError(f"{language}: {kind} should be a list of words")
        for word in words:
            if not isinstance(word, str) or not plain(word):
                raise ValueError(f"{language}: {kind} has {word!r}, which has no letter or digit")
            if len(word) > _MOST:
                raise ValueError(f"{language}: {kind} has {word[:_MOST]!r}..., which is longer than {_MOST} letters")
            yield language, kind, word


def _shown(letter: str) -> str:
    """Keep letters, digits and marks, drop invisible characters, and replace others by a space."""
    category = unicodedata.category(letter)
    return letter if category[0] in "LNM" else "" if category == "Cf" else " "
