"""Media: what is known of a picture, a recording or another file that came with a reply; the file is not kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

OTHER = "other"
KINDS = ("image", "audio", "video", "application", "text", OTHER)
"""The values of the metric's label: the first half of a type."""
MOST_TYPES = 10
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,62}/[a-z0-9][a-z0-9.+_-]{0,62}")


class ReplyMedia(msgspec.Struct, frozen=True):
    """One file of a reply: its type, such as image/jpeg, "" if unknown; and its size, 0 if unknown."""

    type: str = ""
    octets: int = 0

    @property
    def kind(self) -> str:
        """Return what the metric counts it as."""
        kind = self.type.partition("/")[0]
        return kind if kind in KINDS else OTHER


def media_type(raw: str) -> str:
    """Return a type without its parameters, or "" for what is none."""
    name = raw.partition(";")[0].strip().lower()
    return name if _TYPE.fullmatch(name) else ""


def types_of(media: Sequence[ReplyMedia]) -> str:
    """Return the different types as one text."""
    return ", ".join([one for one in dict.fromkeys(one.type for one in media) if one][:MOST_TYPES])
