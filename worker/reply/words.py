"""Words: the words with which a recipient stops or restarts messages, by language and by the sender's country.

``LISTS`` is the table of built-in words, each with its source.  Operators add the words of their countries in a file.
A doubtful text may stop messages, but never restarts them: look-alike letters and spaced letters count for STOP only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import phonenumbers

from threelane.contract import text as texts
from threelane.contract import zones
from threelane.worker.reply.spelling import disguised, plain

Word = Literal["stop", "start", "help", ""]
KINDS: tuple[Word, ...] = ("stop", "start", "help")
_MOST = 70  # letters of a word; a whole SMS of most scripts
_LEAST_DIGITS = 7  # of an international number; short codes have no country
_KEYS = (*KINDS, "countries", "confirmation")
_ALL_KEYS = f"{', '.join(_KEYS[:-1])} and {_KEYS[-1]}"
_EXAMPLE = '{"fr": {"stop": ["ARRET"], "countries": ["FR"]}}'


class WordList(NamedTuple):
    """Words of one language, in some countries: ISO codes, or calling codes such as +1; without any: everywhere."""

    language: str
    source: str
    countries: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    help: tuple[str, ...] = ()
    confirmation: str = ""  # of a STOP in this language, if confirmations are switched on


# YES restarts messages at some providers. It is not listed: here it is mostly the answer to a question.
# fmt: off
LISTS = (
    WordList("Clickatell's English", "Clickatell's guide: the words on which it stops its own messages",
             stop=("STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "STOP STOP", "STOP ALL"),
             start=("START", "UNSTOP")),  # industry practice: docs.aws.amazon.com/sms-voice, keywords-required
    WordList("the FCC's English", "47 CFR 64.1200(a)(10): replies that always revoke consent", ("+1",),
             stop=("STOP", "QUIT", "END", "REVOKE", "OPT OUT", "CANCEL", "UNSUBSCRIBE")),
    WordList("the carriers' English", "Twilio: Advanced Opt-Out; AWS: required opt-out keywords; Telnyx: opt-in/out",
             ("+1",), stop=("STOPALL", "STOP ALL", "OPTOUT", "OPT-OUT", "REVOKE", "REMOVE")),
    WordList("the carriers' French", "AWS: required opt-out keywords; Twilio: Proxy, opt-out keywords", ("+1",),
             stop=("ARRET", "ARRETE", "ARRETT")),
    WordList("French", "Oracle Bronto: SMS short code stop message",
             ("FR", "BE", "CH", "LU", "MC", "RE", "GP", "GF", "MQ"), stop=("ARRET",)),
    WordList("Norwegian", "Oracle Bronto: SMS short code stop message", ("NO",), stop=("STOPP",)),
    WordList("help", "CTIA's messaging principles; AWS: keywords that US carriers require", help=("HELP", "INFO")),
)
# fmt: on
"""The built-in words."""


class Meaning(NamedTuple):
    """What a word means, in which language and where."""

    word: Word
    language: str
    countries: tuple[str, ...] = ()
    confirmation: str = ""


class Words(msgspec.Struct, frozen=True):
    """The words of all languages, in the plain form in which texts are compared."""

    meanings: Mapping[str, Sequence[Meaning]]

    def meaning(self, text: str, sender: str = "") -> Word:
        """Return the meaning of a whole message from a number; ignores case, accents, spaces and punctuation."""
        found = self.find(text, sender)
        return found.word if found else ""

    def find(self, text: str, sender: str = "") -> Meaning | None:
        """Return what a whole message from a number means, with its language."""
        if found := self._at(plain(text), sender):
            return found
        if len(text) > _MOST:  # a stranger may write any amount
            return None
        stops = (self._at(one, sender) for one in disguised(text))
        return next((one for one in stops if one and one.word == "stop"), None)

    def stops_anywhere(self, word: str) -> bool:
        """Return whether a plain word means STOP in some country."""
        return any(one.word == "stop" for one in self.meanings.get(word, ()))

    @property
    def stops(self) -> Iterator[str]:
        """Yield every plain word that means STOP in some country."""
        return (word for word in self.meanings if self.stops_anywhere(word))

    def _at(self, word: str, sender: str) -> Meaning | None:
        found = self.meanings.get(word, ())
        return next((one for one in found if is_in(sender, one.countries)), None)


def is_in(sender: str, countries: Sequence[str]) -> bool:
    """Return whether a number is in one of these countries; every number is in an empty list."""
    if not countries:
        return True
    if not (sender.isascii() and sender.isdigit() and len(sender) >= _LEAST_DIGITS):
        return False
    return zones.country(sender) in countries or any(f"+{sender}".startswith(one) for one in countries)


def build(languages: Mapping[str, Any]) -> Words:
    """Return the words of these languages and the built-in ones, which always count.

    ``languages`` is ``{"fr": {"stop": ["ARRET"], "start": ["DEBUT"], "countries": ["FR"]}}``.  Raises ValueError with
    the language and the word of the problem.
    """
    meanings: dict[str, list[Meaning]] = {}
    for one in (*LISTS, *_all(languages)):
        for kind in KINDS:
            for word in getattr(one, kind):
                known = meanings.setdefault(plain(word), [])
                if other := next((had for had in known if had.word != kind and _overlap(had, one)), None):
                    raise ValueError(
                        f"{one.language}: {word!r} cannot mean {kind}, since it means {other.word} in {other.language}"
                    )
                known.append(Meaning(kind, one.language, one.countries, one.confirmation))
    return Words({word: tuple(sorted(found, key=_precedence)) for word, found in meanings.items()})


def load(path: Path | str | None = None) -> Words:
    """Return the words of an operator's JSON file besides the built-in ones; raises ValueError with the problem."""
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


def _precedence(one: Meaning) -> tuple[bool, bool]:
    """Order the meanings of a word: a language with a confirmation first, then those of certain countries."""
    return not one.confirmation, not one.countries


def _overlap(known: Meaning, other: WordList) -> bool:
    """Return whether two meanings apply to the same number."""
    if not known.countries or not other.countries:
        return True
    pairs = ((mine, theirs) for mine in known.countries for theirs in other.countries)
    return any(
        mine == theirs or _calling_code(mine) == theirs or _calling_code(theirs) == mine for mine, theirs in pairs
    )


def _calling_code(country: str) -> str:
    return f"+{phonenumbers.country_code_for_region(country)}"


def _all(languages: Mapping[str, Any]) -> Iterator[WordList]:
    if not isinstance(languages, Mapping):
        raise ValueError(f"the languages should be an object, such as {_EXAMPLE}")
    for language, lists in languages.items():
        if not plain(language):
            raise ValueError('a language has no name; it should be one such as "fr"')
        if not isinstance(lists, Mapping):
            raise ValueError(f'{language}: an object was expected, such as {{"stop": ["ARRET"], "start": ["DEBUT"]}}')
        for name in lists:
            if name not in _KEYS:
                raise ValueError(
                    f"{language}: {name!r} is not known; there are {', '.join(_KEYS[:-1])} and {_KEYS[-1]}"
                )
        words = {kind: tuple(_words(language, kind, lists.get(kind, ()))) for kind in KINDS}
        countries = tuple(_countries(language, lists.get("countries", ())))
        yield WordList(language, "the operator's file", countries, **words, confirmation=_confirmation(language, lists))


def _words(language: str, kind: str, words: Any) -> Iterator[str]:
    for word in _list(language, kind, words, "words"):
        if not isinstance(word, str) or not plain(word):
            raise ValueError(f"{language}: {kind} has {word!r}, which has no letter or digit")
        if len(word) > _MOST:
            raise ValueError(f"{language}: {kind} has {word[:_MOST]!r}..., which is longer than {_MOST} letters")
        yield word


def _countries(language: str, countries: Any) -> Iterator[str]:
    for one in _list(language, "countries", countries, "countries"):
        place = one.strip().upper() if isinstance(one, str) else ""
        code = place[1:] if place.startswith("+") else ""
        if place not in zones.COUNTRIES and not (
            code.isascii() and code.isdigit() and int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE
        ):
            raise ValueError(f"{language}: countries has {one!r}; write a two-letter code or a calling code: FR, +33")
        yield place


def _confirmation(language: str, lists: Mapping[str, Any]) -> str:
    text = lists.get("confirmation", "")
    try:
        return check_confirmation(text)
    except ValueError as wrong:
        raise ValueError(f"{language}: confirmation: {wrong}") from None


def check_confirmation(text: Any) -> str:
    """Return the text of a confirmation; raises ValueError unless it is one SMS."""
    if not isinstance(text, str):
        raise ValueError(f"a text was expected, got {text!r}")
    if text and texts.measure(text).parts > 1:
        raise ValueError("it is longer than one SMS: 160 letters, or 70 outside the GSM alphabet")
    return text.strip()


def _list(language: str, kind: str, value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{language}: {kind} should be a list of {what}")
    return value
