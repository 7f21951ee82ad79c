"""The words by which a person stops an account's messages, and starts them again."""

from enum import StrEnum
from typing import Final

_STOP: Final = frozenset({"STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "STOP STOP", "STOP ALL"})
_START: Final = frozenset({"START", "UNSTOP"})
_AT_THE_END: Final = " .,!?"


class Wish(StrEnum):
    """What a keyword asks for."""

    STOP = "stop"
    START = "start"


def wish(text: str) -> Wish | None:
    """Returns what a text asks for when it is a keyword and nothing else, in any case and spacing."""
    words = " ".join(text.split()).rstrip(_AT_THE_END).upper()
    if words in _STOP:
        return Wish.STOP
    return Wish.START if words in _START else None
