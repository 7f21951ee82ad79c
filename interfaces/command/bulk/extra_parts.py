"""Extra parts: what the parts of a file's messages beyond the first are for, in a few lines for the whole file."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec

from threelane.contract.counted import counted
from threelane.contract.why_parts import DO, Cause, OutsideCharacter, Saving, Way
from threelane.producer.rehearse import Rehearsed

MOST_CHARACTERS = 3  # named in a line


class _Kind(NamedTuple):
    """Messages of one line: their number of parts, why, and what would save how many of each."""

    parts: int
    cause: Cause
    way: Way
    saved: int


class ExtraPartsLine(msgspec.Struct):
    """Messages that take several parts for the same reason; ``saved_parts`` is what the way saves for all of them.

    ``characters`` are those outside GSM-7, each with the number of messages that have it; ``least_units`` and
    ``most_units`` are by how much to shorten a message.
    """

    parts: int
    cause: Cause
    way: Way
    messages: int = 0
    saved_parts: int = 0
    least_units: int = 0
    most_units: int = 0
    characters: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, characters: tuple[OutsideCharacter, ...], best: Saving) -> None:
        """Add a message."""
        self.messages += 1
        self.saved_parts += best.parts
        self.least_units = min(self.least_units or best.units, best.units)
        self.most_units = max(self.most_units, best.units)
        self.characters.update(map(str, characters))

    def __str__(self) -> str:
        """Return the line for people."""
        what = f"{counted(self.messages, 'message')} of {self.parts} parts because of {self._because()}"
        them, each = ("it", "") if self.messages == 1 else ("them", " each")
        left = self.parts - self.saved_parts // self.messages
        if self.way is Way.SHORTER:
            least, most = self.least_units, self.most_units
            units = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            return f"{what}: {units} septets or UTF-16 units fewer make {them} {counted(left, 'part')}{each}"
        verb = "make" if self.way is Way.BOTH else "makes"
        saves = verb.replace("make", "save")
        saved = counted(self.saved_parts, "part")
        return f"{what}: {DO[self.way]} {verb} {them} {counted(left, 'part')}{each}, {saves} {saved}"

    def _because(self) -> str:
        if self.cause is not Cause.CHARACTERS:
            whose = "its" if self.messages == 1 else "their"
            return {Cause.UNICODE: "unicode=1", Cause.HEADER: f"{whose} header"}.get(self.cause, f"{whose} length")
        first = ", ".join(one for one, _ in self.characters.most_common(MOST_CHARACTERS))
        return f"{first} and others" if len(self.characters) > MOST_CHARACTERS else first


class ExtraParts:
    """Collects the explanations of a file's messages."""

    def __init__(self) -> None:
        """Start with none."""
        self._lines: dict[_Kind, ExtraPartsLine] = {}
        self._cut, self._most_cut = 0, 0

    def add(self, answer: Rehearsed) -> None:
        """Add a message that would be sent."""
        if answer.characters_cut:
            self._cut, self._most_cut = self._cut + 1, max(self._most_cut, answer.characters_cut)
        if answer.why_parts is None:
            return
        first, best = answer.why_parts.causes[0], answer.why_parts.savings[0]
        kind = _Kind(answer.parts, first.cause, best.way, best.parts)
        self._lines.setdefault(kind, ExtraPartsLine(*kind[:3])).add(first.characters, best)

    def lines(self) -> list[ExtraPartsLine]:
        """Return a line for each kind, the greatest saving first."""
        return sorted(self._lines.values(), key=lambda one: (one.way is Way.SHORTER, -one.saved_parts))

    def sentences(self) -> list[str]:
        """Return what a person reads."""
        found = [str(one) for one in self.lines()]
        if self._cut:
            found.append(f"{counted(self._cut, 'message')} cut, by up to {self._most_cut:,} characters")
        return found
