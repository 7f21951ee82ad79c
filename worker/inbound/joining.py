"""Joining: joins the parts of a long reply, which arrive separately and in any order, into one text.

The border between two parts can split a character of two UTF-16 units.  A half cannot be encoded, so it is kept at the
edge of its part as a character of the last private plane, which no phone sends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from threelane.worker.inbound.report import ReplyPart

MISSING = "\u2026"
_PLANE = 0xF0000 - 0xD800
_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF, _SECOND_HALF = re.compile("[\U000f0000-\U000f03ff]"), re.compile("[\U000f0400-\U000f07ff]")
_SPACING = re.compile(r"[\s:-]")
_CONCATENATED = {0x00: 3, 0x08: 4}  # 3GPP TS 23.040: references of 8 and of 16 bits, and their octets


def part_of(udh: str) -> ReplyPart | None:
    """Return the part that a user data header describes, or None for a whole message.

    Headers of other kinds (ports, ...) and impossible numbers are ignored.
    """
    try:
        header = bytes.fromhex(_SPACING.sub("", udh))
    except ValueError:
        return None
    if not header or len(header) <= header[0]:
        return None
    found, elements = None, header[1 : 1 + header[0]]
    while len(elements) >= 2:
        kind, length = elements[0], elements[1]
        content, elements = elements[2 : 2 + length], elements[2 + length :]
        if len(content) == length == _CONCATENATED.get(kind):
            found = ReplyPart(int.from_bytes(content[:-2], "big"), content[-2], content[-1])
    return found if found and found.total > 1 and 1 <= found.number <= found.total else None


def writable(text: str, part: ReplyPart | None = None) -> str:
    """Return a text that can be encoded: halves at the edges of a part are preserved, all others replaced."""
    text = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")  # joins adjacent halves
    if part and text and "\udc00" <= text[0] <= "\udfff":
        text = chr(ord(text[0]) + _PLANE) + text[1:]
    if part and text and "\ud800" <= text[-1] <= "\udbff":
        text = text[:-1] + chr(ord(text[-1]) + _PLANE)
    return _HALF.sub("\ufffd", text)


def join(parts: Mapping[int, str], total: int) -> str:
    """Return the parts 1 to ``total`` as one text, with an ellipsis for each gap."""
    text, gap = "", False
    for number in range(1, total + 1):
        if number not in parts:
            text, gap = text if gap else _closed(text) + MISSING, True
            continue
        following = parts[number]
        if not gap and _FIRST_HALF.match(text[-1:]) and _SECOND_HALF.match(following[:1]):
            halves = chr(ord(text[-1]) - _PLANE) + chr(ord(following[0]) - _PLANE)
            text = text[:-1] + halves.encode("utf-16-be", "surrogatepass").decode("utf-16-be") + following[1:]
        else:
            text = _closed(text) + (_SECOND_HALF.sub("\ufffd", following[:1]) + following[1:])
        gap = False
    return _closed(text)


def _closed(text: str) -> str:
    """Return a text whose trailing half character is replaced, since its other half is missing."""
    return text[:-1] + _FIRST_HALF.sub("\ufffd", text[-1:])
