"""Near: replies that are no STOP word and still ask for an end of messages, such as "STOP please".

``RULES`` is a table of a few rules, each with an example, so that every result can be explained.  A negation before the
verb ("don't stop") makes a text innocent.  The phrases are English; the words with a courtesy are of all languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from threelane.worker.reply.spelling import plain
from threelane.worker.reply.words import Words, is_in

MOST_WORDS = 30
MOST_LETTERS = 300
_UNITED_STATES = ("+1",)  # and Canada, which has the same words
_COURTESY = frozenset(
    re.findall(
        r"\w+",
        """
        please pls plz plse pleas kindly now immediately asap thanks thx ty hi hello hey dear just sir madam bitte danke
        svp merci sil s il te vous plait por favor gracias obrigado obrigada aub alstublieft alsjeblieft per favore
        grazie tack takk
        """,
    )
)
"""Words beside a STOP word that change nothing."""
_VERBS = "stop|stopping|quit|end|cancel|unsubscribe|opt out|optout|revoke|remove"
_MESSAGES = "texts?|texting|messages?|messaging|sms|smses|msgs?|alerts?|notifications?|ads|spam|promos?|newsletters?"
_THESE = "(?:me |us |the |these |those |this |that |your |all |any |more |further |of |such )*"
_NOT = "dont|doesnt|didnt|wont|cant|isnt|arent|not|never|without"
_SHORT = re.compile(r"\b(do|does|did|wo|ca|is|are)n t\b|\b(do|does|did|is|are) not\b")
_INNOCENT = re.compile(rf"\b(?:{_NOT})(?: \w+){{0,2}} (?:{_VERBS})\b")


class NearStop(StrEnum):
    """What happens after a reply that looks like a STOP."""

    SUPPRESS_US = "suppress-us"  # a sender of +1 is suppressed; elsewhere the producer gets a report
    SUPPRESS = "suppress"
    REPORT = "report"
    OFF = "off"

    def suppresses(self, sender: str) -> bool:
        """Return whether such a reply suppresses its sender."""
        return self is NearStop.SUPPRESS or (self is NearStop.SUPPRESS_US and is_in(sender, _UNITED_STATES))


class Rule(NamedTuple):
    """A rule: its name in the evidence, a text that it recognises, and whether a negation before the verb exempts."""

    name: str
    example: str
    matches: Callable[[str, Words], bool]
    is_exempt_if_negated: bool = True


def looks_like_stop(text: str, words: Words) -> str:
    """Return the name of the rule by which a text is a request to stop, "" if none applies."""
    if len(text) > MOST_LETTERS:
        return ""
    if any(_is_word(line, words) for line in _outer_lines(text)):
        return "line"
    read = _SHORT.sub(lambda found: f"{found[1] or found[2]}nt", plain(text)).replace("thank you", "thanks")
    if not 0 < len(read.split()) <= MOST_WORDS:
        return ""
    is_negated = bool(_INNOCENT.search(read))
    rules = (one for one in RULES if not (is_negated and one.is_exempt_if_negated))
    return next((one.name for one in rules if one.matches(read, words)), "")


def _outer_lines(text: str) -> Iterator[str]:
    """Yield the first and the last line: the others are a signature or a quoted message."""
    lines = [line for line in map(plain, text.splitlines()) if line]
    if len(lines) > 1:
        yield from (lines[0], lines[-1])


def _is_word(line: str, words: Words) -> bool:
    return line != "end" and words.stops_anywhere(line)  # a story has an end, too


def _with_courtesy(text: str, words: Words) -> bool:
    """Return whether nothing but STOP words and courtesies is left, or a word of another country."""
    kept = [word for word in text.split() if word not in _COURTESY]
    return words.stops_anywhere(" ".join(kept)) or (bool(kept) and all(map(words.stops_anywhere, kept)))


def _with_typo(text: str, words: Words) -> bool:
    """Return whether a single word has repeated, swapped or look-alike letters; one other slip in a long word."""
    if " " in text or not 3 <= len(text) <= MOST_WORDS:
        return False
    return any(words.stops_anywhere(one) for one in _corrections(text)) or (
        len(text) >= 9 and any(_is_one_slip(text, word) for word in words.stops if len(word) >= 10)
    )


def _corrections(text: str) -> Iterator[str]:
    letters = text.translate(str.maketrans("01345$", "oleass"))
    yield from (letters, re.sub(r"(.)\1+", r"\1", letters))
    for at in range(len(letters) - 1):
        yield letters[:at] + letters[at + 1] + letters[at] + letters[at + 2 :]


def _is_one_slip(text: str, word: str) -> bool:
    """Return whether a letter is missing, wrong or too many."""
    if abs(len(text) - len(word)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(text, word, strict=False)) if a != b), min(len(text), len(word)))
    rest, other = text[start:], word[start:]
    return rest[1:] == other or rest == other[1:] or rest[1:] == other[1:]


def _pattern(pattern: str) -> Callable[[str, Words], bool]:
    compiled = re.compile(pattern)
    return lambda text, _: compiled.search(text) is not None


_POLITE = rf"(?:(?:{'|'.join(sorted(_COURTESY))}) )*"
_ME = "(?:me|us|this number)"
_AGAIN = r"(?: (?:again|any ?more|ever|at all|(?:at|on) this number|please|pls|thanks|stop)\b|$)"
_SOMEBODY_ELSE = r"(?! (?:you|him|her|them|my|and|at|while|when|near|about|sign)\b)"
_FROM_ALL = rf"(?:this|these|all|it|everything|{_THESE}(?:{_MESSAGES}|lists?|mailings?))\b"
# fmt: off
RULES = (
    # a negation is what makes these
    Rule("refusal", "do not text me again",
         _pattern(rf"\b(?:dont|never) (?:ever )?(?:text|message|msg|sms|contact|spam) {_ME}{_AGAIN}"), False),
    Rule("refusal", "don't send me any more texts",
         _pattern(rf"\b(?:dont|never) (?:ever )?send {_THESE}(?:{_MESSAGES})\b"), False),
    Rule("unwanted", "I don't want these messages",
         _pattern(rf"\b(?:dont|no longer) (?:want|wish|need) (?:to )?(?:receive |get )?{_THESE}(?:{_MESSAGES})\b"),
         False),
    Rule("no more", "no more texts please", _pattern(rf"^{_POLITE}no more (?:{_MESSAGES})\b"), False),
    Rule("alone", "leave me alone", _pattern(rf"^{_POLITE}(?:leave me alone|lose my number)(?: \w+)?$"), False),
    # a negation contradicts these
    Rule("courtesy", "stop please", _with_courtesy),
    Rule("typo", "sttopp", _with_typo),
    Rule("stop sending", "STOP texting me",
         _pattern(rf"\b(?:stop|quit|end|cancel|cease) (?:with |receiving |getting |sending )?{_THESE}"
                  rf"(?:{_MESSAGES}|contacting|spamming|bothering|harassing)\b{_SOMEBODY_ELSE}")),
    Rule("stop sending", "stop sending me this",
         _pattern(r"\bstop sending (?:me |us )?(?:this|these|those|that|stuff|junk)?(?: \w+)?$")),
    Rule("stop this", "please stop it",
         _pattern(rf"^{_POLITE}stop (?:it|this|that|these)(?: (?:please|now|thanks))?$")),
    Rule("wish", "I want to stop", _pattern(r"\b(?:want|like|wish) to (?:stop|be removed)(?: please| thanks| now)?$")),
    Rule("opt out", "I want to opt out",
         _pattern(rf"\b(?:opt(?:ing)? (?:me )?out|optout|unsubscribe|unsub)\b(?! (?:of|from) (?!{_FROM_ALL}))")),
    Rule("remove me", "take me off your list",
         _pattern(rf"\b(?:remove|delete|take|drop) (?:me|my number|this number)(?: please| now)?(?: off)?"
                  rf"(?:$| (?:from|off) {_THESE}(?:{_MESSAGES}|lists?|mailings?|database)\b)")),
)
# fmt: on
"""The rules, in the order in which they are tried."""
