"""One by one: decodes the messages of a list as they are accepted; an oversized one is refused alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from threelane.contract.errors import Refused
from threelane.contract.refusal import Code
from threelane.contract.spreadsheet import SpelledFloat
from threelane.interfaces.api import structure
from threelane.interfaces.api.body import SINGLE

MOST_VALUES = 200  # of one message, several times as many as it has fields
_DECODER = msgspec.json.Decoder(float_hook=SpelledFloat)


class OneByOne:
    """The messages of a list in order, without those that are refused unread."""

    def __init__(self, raw: Iterable[msgspec.Raw]) -> None:
        """Decode these."""
        self._raw = raw
        self._refused: dict[int, Refused] = {}

    def __iter__(self) -> Iterator[Any]:
        """Yield each message that can be decoded."""
        for index, one in enumerate(self._raw):
            if problem := oversize(one):
                remedy = "send only the fields of a message, see /docs"
                self._refused[index] = Refused(Code.INVALID, "messages", problem, remedy)
                continue
            try:
                message = _DECODER.decode(one)
            except (msgspec.MsgspecError, UnicodeError) as broken:
                remedy = "send JSON, in UTF-8"
                self._refused[index] = Refused(Code.INVALID, "messages", f"not JSON: {broken}", remedy)
                continue
            yield message

    def in_order(self, results: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Yield the index of each message and its result, with those that were refused unread."""
        index = 0
        for result in results:
            while index in self._refused:
                yield index, self._refused[index]
                index += 1
            yield index, result
            index += 1
        while index in self._refused:
            yield index, self._refused[index]
            index += 1


def oversize(raw: msgspec.Raw) -> str:
    """Return why a message is too large to be decoded; empty if it is not."""
    octets = bytes(raw)
    if len(octets) > SINGLE:
        return f"longer than {SINGLE:,} octets"
    if structure.values(octets, MOST_VALUES) > MOST_VALUES:
        return f"more than {MOST_VALUES} values"
    return ""
