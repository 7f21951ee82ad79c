"""The keywords that stop an account's messages to a person, and start them again."""

from enum import StrEnum
from typing import Final

_STOP: Final = frozenset({"STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "STOP STOP", "STOP ALL"})
_START: Final = frozenset({"START", "UNSTOP"})
_TRAILING: Final = " .,!?"


class KeywordAction(StrEnum):
    """The effect of a keyword."""

    STOP = "stop"
    START = "start"


def keyword_action(text: str) -> KeywordAction | None:
    """Returns the effect of a text that is only a keyword, in any case and spacing."""
    words = " ".join(text.split()).rstrip(_TRAILING).upper()
    if words in _STOP:
        return KeywordAction.STOP
    return KeywordAction.START if words in _START else None
