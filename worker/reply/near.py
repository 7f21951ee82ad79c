"""Near: replies that are no STOP word and still ask for an end of messages, such as "STOP please".

``RULES`` is a table of a few rules, each with an example, so that every result can be explained.  A negation before the
verb ("don't stop") makes a text innocent, and so does a part that is meant ("no alerts for flight 12").  The phrases
are English; the words with a courtesy are of all languages.
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


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_COURTESY = _set(
    """
    please pls plz plse pleas kindly now immediately asap thanks thx ty hi hello hey dear just sir madam bitte danke
    svp merci sil s il te vous plait por favor gracias obrigado obrigada aub alstublieft alsjeblieft per favore
    grazie tack takk
    """
)
"""Words beside a STOP word that change nothing."""
_VERBS = "stop|stopping|quit|end|cancel|unsubscribe|opt out|optout|revoke|withdraw|remove|delete|take|drop"
_MESSAGES = (
    "texts?|texting|messages?|messaging|sms|smses|msgs?|alerts?|notifications?|ads|spam|promos?|newsletters?|marketing"
)
_THESE = "(?:me |us |the |these |those |this |that |your |all |any |more |further |of |such )*"
_NOT = "dont|doesnt|didnt|wont|cant|isnt|arent|not|never|without"
_SHORT = re.compile(r"\b(do|does|did|wo|ca|is|are)n t\b|\b(do|does|did|is|are) not\b")
_ASK = "(?: (?:ask(?:ed|ing)?|want(?:ed)?|tell|told|mean|meant|going|you|me|us|anyone|to))*"
_INNOCENT = re.compile(rf"\b(?:{_NOT})(?:{_ASK}|(?: \w+){{0,2}}) (?:{_VERBS})\b")
_AMBIGUOUS = frozenset(("end", "cancel", "quit", "remove", "revoke"))
"""STOP words that are often about something else: a line of its own says what."""
_SENTENCE = re.compile(r"[.!?\n]+")
_QUOTED = re.compile(r"\s*(?:>|--|sent (?:from|via)\b|get outlook\b|on .* wrote\b)", re.IGNORECASE)
_BEFORE_STOP = _set(
    """
    a an the this that my our your his her its every each any bus train tram coach taxi metro subway truck tour pit rest
    full non last first next final one same door short back emergency fuel gas toilet lunch coffee i d ll m you he she
    it they we who can could will would should must cant do does did let lets to and or if where when how which what
    never
    """
)
_AFTER_STOP = _set(
    """
    by at in on off over for here there and or the a an my our your his her their its to with around until till before
    after when while if it this that these you i we he she they no not never so was is loss losses sign signs light
    lights stop watch motion order orders payment payments card cards cheque cheques check checks fraud delivery
    lol haha
    """
)
"""Neighbours of "stop" in short texts that are about something else, as in "bus stop" and "stop by"."""
_OTHER_FORMS = _set("arreter arretez desabonner desinscrire pare parar detener")
"""What else people of +1 write in French and Spanish."""


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
    if _has_line(text, words):
        return "line"
    read = _SHORT.sub(lambda found: f"{found[1] or found[2]}nt", plain(text)).replace("thank you", "thanks")
    if not 0 < len(read.split()) <= MOST_WORDS:
        return ""
    is_negated = bool(_INNOCENT.search(read))
    rules = (one for one in RULES if not (is_negated and one.is_exempt_if_negated))
    return next((one.name for one in rules if one.matches(read, words)), "")


def _has_line(text: str, words: Words) -> bool:
    """Return whether the last sentence, or a line before a signature or a quotation, is a STOP word."""
    *before, last = [read for one in _SENTENCE.split(text) if (read := plain(one))] or [""]
    if before and last not in _AMBIGUOUS and words.stops_anywhere(last):
        return True
    lines = [(read, bool(_QUOTED.match(line))) for line in text.splitlines() if (read := plain(line))]
    if len(lines) < 2:
        return False
    return any(
        words.stops_anywhere(line) and (line not in _AMBIGUOUS or all(is_quoted for _, is_quoted in others))
        for line, others in ((lines[0][0], lines[1:]), (lines[-1][0], lines[:-1]))
    )


def _with_courtesy(text: str, words: Words) -> bool:
    """Return whether nothing but STOP words and courtesies is left, or a word of another country."""
    kept = _without_courtesy(text)
    return words.stops_anywhere(" ".join(kept)) or (bool(kept) and all(map(words.stops_anywhere, kept)))


def _without_courtesy(text: str) -> list[str]:
    return [word for word in text.split() if word not in _COURTESY]


def _in_short(text: str, _: Words) -> bool:
    """Return whether two or three words begin or end with STOP, and its neighbour is not one of another meaning."""
    kept = _without_courtesy(text)
    if not 2 <= len(kept) <= 3:
        return False
    after, before = kept[1], kept[-2]
    is_other = after in _AFTER_STOP or (after.endswith("ing") and after not in ("everything", "marketing"))
    return (kept[0] == "stop" and not is_other) or (kept[-1] == "stop" and before not in _BEFORE_STOP)


def _in_other_form(text: str, _: Words) -> bool:
    kept = _without_courtesy(text)
    return len(kept) == 1 and kept[0] in _OTHER_FORMS


def _with_typo(text: str, words: Words) -> bool:
    """Return whether a word has spaced, repeated, swapped or look-alike letters; one other slip in a long word."""
    if " " in text:
        return words.stops_anywhere(text.replace(" ", ""))
    if len(text) > MOST_WORDS:
        return False
    return any(len(one) > 3 and words.stops_anywhere(one) for one in _corrections(text)) or (  # Ned is a name, not END
        len(text) >= 9 and any(_is_one_slip(text, word) for word in words.stops if len(word) >= 10)
    )


def _corrections(text: str) -> Iterator[str]:
    letters = text.translate(str.maketrans("01345$", "oleass"))
    yield from (letters, re.sub(r"(.)\1+", r"\1", letters), text.rstrip("0123456789"))
    yield re.sub(r"^(.+?)\1+$", r"\1", letters)
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
_MINE = "(?:me|my number|this number)"
_AGAIN = (
    r"(?: (?:again|any ?more|ever|at all(?! hours| times)|(?:at|on) this number|please|pls|thanks|stop)\b"
    r"(?! (?:until|till|before|after|unless|when|while|if|today|tonight|tomorrow)\b)|$)"
)
_SOMEBODY_ELSE = r"(?! (?:you|him|her|them|my|and|at|while|when|near|about|sign)\b)"
_PARTLY = (  # a language, another person, one of several subjects, or a time
    r"(?! (?:twice|once|only|going|before|after|until|till|when|while|if|about|regarding"
    r"|in(?! (?:the )?future)|at(?! all)|on(?! (?:this|my) )|for(?! (?:me|us|good|ever|now|this|my)\b)"
    r"|to(?! (?:me|us|this|my (?:phone|number|cell|mobile|device))\b))\b)"
)
_FROM_ALL = rf"(?:this|these|all|it|everything|{_THESE}(?:{_MESSAGES}|lists?|mailings?))\b"
# fmt: off
RULES = (
    # a negation is what makes these
    Rule("refusal", "do not text me again",
         _pattern(rf"\b(?:dont|never) (?:ever )?(?:text|message|msg|sms|contact|spam) {_ME}{_AGAIN}"), False),
    Rule("refusal", "don't send me any more texts",
         _pattern(rf"\b(?:dont|never) (?:ever )?send {_THESE}(?:{_MESSAGES})\b{_PARTLY}"), False),
    Rule("unwanted", "I don't want these messages",
         _pattern(rf"\b(?:dont|no longer) (?:want|wish|need) (?:to )?(?:receive |get )?{_THESE}"
                  rf"(?:{_MESSAGES})\b{_PARTLY}"), False),
    Rule("unwanted", "I don't want this",
         _pattern(r"\bdont want (?:this|these)(?: any ?more| please| thanks)?$"), False),
    Rule("no more", "no more texts please",
         _pattern(rf"^{_POLITE}no more (?:(?:{_MESSAGES})\b|(?:please|pls|plz)$)"), False),
    Rule("alone", "leave me alone", _pattern(rf"^{_POLITE}(?:leave me alone|lose my number)(?: \w+)?$"), False),
    # a negation contradicts these
    Rule("courtesy", "stop please", _with_courtesy),
    Rule("typo", "sttopp", _with_typo),
    Rule("short", "STOP ACME", _in_short),
    Rule("other form", "arrêter", _in_other_form),
    Rule("all", "CANCEL ALL", _pattern(rf"^{_POLITE}(?:end|quit|cancel|revoke|remove) (?:me from )?(?:all|everything)"
                                       rf"(?: (?:please|pls|now|thanks))?$")),
    Rule("consent", "I revoke my consent",
         _pattern(r"\b(?:revok|withdr|rescind|cancel)\w*(?: \w+){0,2} (?:consent|permission|authori[sz]ation)\b"
                  r"|\bconsent (?:is |has been |was )?(?:revoked|withdrawn|rescinded)\b")),
    Rule("cease", "cease and desist", _pattern(r"\bcease and desist\b")),
    Rule("stop sending", "STOP texting me",
         _pattern(rf"\b(?:stop|quit|end|cancel|cease) (?:with |receiving |getting |sending )?{_THESE}"
                  rf"(?:{_MESSAGES}|contacting|spamming|bothering|harassing)\b{_SOMEBODY_ELSE}{_PARTLY}")),
    Rule("stop sending", "stop sending me this",
         _pattern(r"\bstop sending (?:me |us )?(?:this|these|those|that|stuff|junk)?(?: \w+)?$")),
    Rule("stop this", "please stop it",
         _pattern(rf"^{_POLITE}stop (?:it|this|that|these)(?: (?:please|now|thanks))?$")),
    Rule("wish", "I want to stop",
         _pattern(r"(?<!you )(?<!they )\b(?:want|like|wish) to (?:stop|be removed)(?: please| thanks| now)?$")),
    Rule("opt out", "I want to opt out",
         _pattern(rf"^(?!(?:did|have|had|was|am) (?:i|we)\b)(?:.* )?"
                  rf"(?:opt(?:ing)? (?:me )?out|optout|unsubscribe|unsub)\b"
                  rf"(?! (?:link|button|page|url|form|option)\b)(?! (?:of|from) (?!{_FROM_ALL}))")),
    Rule("remove me", "take me off your list",
         _pattern(rf"\b(?:(?:remove|delete) {_MINE}(?: please| now)?$|take {_MINE} off(?: please| now)?$"
                  rf"|(?:remove|delete|take|drop) {_MINE}(?: please| now)? (?:from|off|off of)"
                  rf" {_THESE}(?:{_MESSAGES}|lists?|mailings?|database)\b)")),
)
# fmt: on
"""The rules, in the order in which they are tried."""
