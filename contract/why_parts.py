"""Why parts: what each part of a message beyond the first is for, and what would save it.

It follows from the text and its size alone, and is computed only for messages of several parts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from threelane.contract import lookalike
from threelane.contract.counted import counted
from threelane.contract.text import (
    GSM_7,
    GSM_EXTENSION,
    Alphabet,
    Encoding,
    Size,
    longest_fit,
    measure,
    measure_binary,
    room,
)

MOST_CHARACTERS = 3  # named in an explanation; the count has the others
MOST_REPLACED_ONE_BY_ONE = 10  # different characters: more are faster in one pass
MOST_REMOVED = 5  # occurrences of a character that a remedy proposes to leave out


class Cause(StrEnum):
    """What takes parts beyond the first."""

    CHARACTERS = "characters"  # outside GSM-7
    UNICODE = "unicode"  # requested, though GSM-7 has all characters
    HEADER = "header"  # takes its octets from the text
    LENGTH = "length"


class Way(StrEnum):
    """What saves parts: the fields of a message to set, or a change of its text."""

    LOOK_ALIKES = "look_alikes"
    PLAIN_ACCENTS = "plain_accents"
    BOTH = "look_alikes,plain_accents"
    WITHOUT_UNICODE = "unicode"
    WITHOUT_CHARACTERS = "without"
    SHORTER = "shorter"


DO = {
    Way.LOOK_ALIKES: "lookAlikes=1",
    Way.PLAIN_ACCENTS: "plainAccents=1",
    Way.BOTH: "lookAlikes=1 and plainAccents=1",
    Way.WITHOUT_UNICODE: "unicode=0",
    Way.WITHOUT_CHARACTERS: "leaving these characters out",
}
"""Each way as an instruction; to shorten the text is none of them, since it depends on the length."""


class OutsideCharacter(msgspec.Struct, frozen=True):
    """A character outside GSM-7; ``at`` is the place of the first, from 1, and ``times`` how often it occurs."""

    character: str
    code_point: str
    at: int
    times: int

    def __str__(self) -> str:
        """Return how people read it: itself, or its name if it shows nothing alone."""
        if unicodedata.category(self.character)[0] in "ZCM":
            name = unicodedata.name(self.character, "").lower()
            return f"{self.code_point} ({name})" if name else self.code_point
        return f"{self.character} ({self.code_point})"


class PartCause(msgspec.Struct, frozen=True):
    """A cause, and how many parts it takes beyond the first."""

    cause: Cause
    parts: int
    detail: str
    characters: tuple[OutsideCharacter, ...] = ()


class Saving(msgspec.Struct, frozen=True):
    """A way to save parts, and how many; ``units`` is by how many characters or units to shorten the text."""

    way: Way
    parts: int
    remedy: str
    units: int = 0


class WhyParts(msgspec.Struct, frozen=True):
    """What the parts beyond the first are for, and what would save some of them, the greatest saving first."""

    causes: tuple[PartCause, ...]
    savings: tuple[Saving, ...]

    def __str__(self) -> str:
        """Return one line for people."""
        return "; ".join([one.detail for one in self.causes] + [one.remedy for one in self.savings])


def explain(
    text: str, size: Size, udh_octets: int = 0, *, is_ucs2_requested: bool = False, alphabet: Alphabet = GSM_7
) -> WhyParts | None:
    """Return why a body takes several parts; None for one part.  ``size`` is that of ``measure``."""
    if size.parts == 1:
        return None
    if size.encoding is Encoding.UCS_2:
        return _of_ucs2(text, size, udh_octets, alphabet, is_requested=is_ucs2_requested)
    return WhyParts(tuple(_of_length(text, size, udh_octets)), (_shorter(text, size, udh_octets),))


def _of_ucs2(text: str, size: Size, udh_octets: int, alphabet: Alphabet, *, is_requested: bool) -> WhyParts:
    outside = set(text) - alphabet
    in_gsm = _with_stand_ins(text, dict.fromkeys(outside, "?"), udh_octets)
    more = size.parts - in_gsm.parts
    causes: list[PartCause] = []
    savings: list[Saving] = []
    if more and outside:
        causes.append(_of_characters(text, outside, more))
        if not is_requested:  # unicode=1 keeps every text in UCS-2
            savings += _replacing(text, outside, size, udh_octets, alphabet)
    elif more:
        detail = f"unicode=1 takes {counted(more, 'part')} more: GSM-7 has all characters of the text"
        causes.append(PartCause(Cause.UNICODE, more, detail))
        savings.append(_saving(Way.WITHOUT_UNICODE, more))
    causes += _of_length(text, in_gsm, udh_octets, is_sent_so=not outside)
    savings.append(_shorter(text, size, udh_octets))
    return WhyParts(tuple(causes), tuple(sorted(savings, key=lambda one: -one.parts)))


def _of_characters(text: str, outside: set[str], parts: int) -> PartCause:
    first = tuple(
        OutsideCharacter(text[at], f"U+{ord(text[at]):04X}", at + 1, text.count(text[at]))
        for at in sorted(map(text.index, outside))[:MOST_CHARACTERS]
    )
    number = sum(map(text.count, outside))
    if len(outside) > MOST_CHARACTERS:
        which = f"{number} of {len(text)} characters, the first {first[0]} at character {first[0].at},"
    else:
        which = " and ".join(f"{one} at character {one.at}{_again(one.times)}" for one in first)
    verb = "takes" if number == 1 else "take"
    where = "outside GSM-7" if outside.isdisjoint(GSM_7) else "not in the charset of this API"
    detail = f"{which} {verb} {counted(parts, 'part')} more: {where}, so that an SMS has 70 characters instead of 160"
    return PartCause(Cause.CHARACTERS, parts, detail, first)


def _again(times: int) -> str:
    return f" ({times} times)" if times > 1 else ""


def _of_length(text: str, size: Size, udh_octets: int, *, is_sent_so: bool = True) -> Iterator[PartCause]:
    """Yield the causes of the parts that the text takes in its smallest encoding, beyond the first.

    ``is_sent_so`` is false if it would have that encoding only with other characters.
    """
    parts = size.parts
    if udh_octets and parts > 1:
        plain = _without_header(text, size)
        if parts > plain:
            detail = f"the header of {udh_octets} octets takes {counted(parts - plain, 'part')} more"
            yield PartCause(Cause.HEADER, parts - plain, detail)
        parts = plain
    if parts > 1:
        detail = (
            _length(text, size, udh_octets)
            if is_sent_so
            else f"its length takes {counted(parts, 'part')} in GSM-7, too"
        )
        yield PartCause(Cause.LENGTH, parts - 1, detail)


def _without_header(text: str, size: Size) -> int:
    if size.encoding is Encoding.BINARY:
        return measure_binary(size.units).parts
    return _with_stand_ins(text, dict.fromkeys(set(text) - GSM_7, "?"), 0).parts


def _length(text: str, size: Size, udh_octets: int) -> str:
    single, part = room(size.encoding, udh_octets)
    pairs = sorted(GSM_EXTENSION.intersection(text) - {"\f"}) if size.encoding is Encoding.GSM_7 else []
    double = f" ({' '.join(pairs)} {'count' if len(pairs) > 1 else 'counts'} as 2)" if pairs else ""
    return f"{size.units} {UNITS[size.encoding]}{double}: one part has {single}, each of several {part}"


def _replacing(text: str, outside: set[str], size: Size, udh_octets: int, alphabet: Alphabet) -> Iterator[Saving]:
    needed = lookalike.needed(outside, alphabet)
    if needed is not None:
        look_alikes, plain_accents = needed
        stand_ins = {
            one: lookalike.replace(one, look_alikes=look_alikes, plain_accents=plain_accents, alphabet=alphabet)
            for one in outside
        }
        way = Way.BOTH if look_alikes and plain_accents else Way.LOOK_ALIKES if look_alikes else Way.PLAIN_ACCENTS
    elif sum(map(text.count, outside)) <= MOST_REMOVED:
        stand_ins, way = dict.fromkeys(outside, ""), Way.WITHOUT_CHARACTERS
    else:
        return
    saved = size.parts - _with_stand_ins(text, stand_ins, udh_octets).parts
    if saved > 0:
        yield _saving(way, saved)


def _with_stand_ins(text: str, stand_ins: Mapping[str, str], udh_octets: int) -> Size:
    """Return the size with other characters, or none, instead of those outside GSM-7."""
    if len(stand_ins) > MOST_REPLACED_ONE_BY_ONE:
        text = text.translate({ord(one): instead for one, instead in stand_ins.items()})
    else:
        for one, instead in stand_ins.items():
            text = text.replace(one, instead)
    return measure(text, udh_octets=udh_octets)


def _saving(way: Way, parts: int) -> Saving:
    return Saving(way, parts, f"{DO[way]} {'save' if way is Way.BOTH else 'saves'} {counted(parts, 'part')}")


def _shorter(text: str, size: Size, udh_octets: int) -> Saving:
    """Return by how much shorter the text takes one part less."""
    fewer_parts = size.parts - 1
    excess = size.units - _fitting_units(text, size, udh_octets, fewer_parts)
    unit = "characters" if size.units == len(text) else UNITS[size.encoding]
    unit = unit[:-1] if excess == 1 else unit
    return Saving(Way.SHORTER, 1, f"{excess} {unit} fewer fit {counted(fewer_parts, 'part')}", excess)


def _fitting_units(text: str, size: Size, udh_octets: int, parts: int) -> int:
    """Return how many units of the text fit; a part that would end inside a pair has one less."""
    if size.encoding is Encoding.BINARY:
        single, part = room(size.encoding, udh_octets)
        return single if parts == 1 else parts * part
    is_ucs2 = size.encoding is Encoding.UCS_2
    beginning = text[: longest_fit(text, parts, unicode=is_ucs2, udh_octets=udh_octets)]
    return measure(beginning, unicode=is_ucs2, udh_octets=udh_octets).units


UNITS = {Encoding.GSM_7: "septets", Encoding.UCS_2: "UTF-16 units", Encoding.BINARY: "octets"}
