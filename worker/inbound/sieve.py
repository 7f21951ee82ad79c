"""Sieve: takes a body as it arrives, and keeps a short one as it is and a long JSON document without its media.

The One API sends a picture or a recording as base64, in a string of the document.  Whenever the document takes more
than 64 KiB, its longest string is dropped, even before its end has arrived, and ``{"omitted_octets": N}`` takes its
place: N is the size of what the string encodes.  So a long body takes no more memory than a short one, and a short one
is unchanged.
"""

from __future__ import annotations

import json
import re
import string
from typing import Any

KIB = 1024
MOST_KEPT = 64 * KIB  # octets of a body that are kept: the longest body without media
MOST = 16 * KIB * KIB  # octets of a body with media
LEAST_DROPPED = 1 * KIB  # octets: a shorter string frees little
_OMITTED = "omitted_octets"
_INSIDE = re.compile(rb'(?:[^"\\]++|\\u[0-9A-Fa-f]{4}|\\[^u])*+', re.DOTALL)  # of a string, up to its end
LONGEST_ESCAPE = 6
_BASE64 = {*(string.ascii_letters + string.digits + "+/-_").encode()}
_NOT_BASE64 = bytes({*range(256)} - _BASE64)
_MARK = b"\xef\xbb\xbf"


class TooLong(ValueError):
    """A body has more octets than are read, or than are kept without its media."""


class Sieve:
    """What is kept of one body."""

    def __init__(self, most_kept: int = MOST_KEPT, least_dropped: int = LEAST_DROPPED) -> None:
        """Begin with an empty body; keep so many octets, and drop no string that has fewer than the other number."""
        self.received = 0
        self._most_kept = most_kept
        self._least_dropped = least_dropped
        self._short: bytearray | None = bytearray()  # the body, as long as it is short
        self._parts: list[bytes | bytearray] = [bytearray()]  # each long string is a part of its own
        self._long: dict[int, int] = {}  # the part of a long string -> its octets
        self._open: bytearray | _Omitted | None = None  # the string whose end has not arrived
        self._escape = b""  # the begin of an escape whose end has not arrived
        self._octets = 0  # that are kept

    def add(self, chunk: bytes) -> None:
        """Take what has arrived; raises TooLong, and ValueError for a string that is none of JSON."""
        self.received += len(chunk)
        if self.received > MOST:
            raise too_long()
        if self._short is not None:
            self._short += chunk
            if self.received <= self._most_kept:
                return
            chunk, self._short = bytes(self._short), None
            if chunk.removeprefix(_MARK).lstrip()[:1] not in (b"{", b"["):
                raise self._does_not_fit()
        self._add_json(self._escape + chunk)

    def body(self) -> bytes:
        """Return what is kept, when all has arrived."""
        if self._short is not None:
            return bytes(self._short)
        unfinished = self._open if isinstance(self._open, bytearray) else b""
        return b"".join((*self._parts, unfinished, self._escape))

    def _add_json(self, data: bytes) -> None:
        at, self._escape = 0, b""
        while at < len(data):
            at = self._add_outside(data, at) if self._open is None else self._add_inside(data, at)

    def _add_outside(self, data: bytes, at: int) -> int:
        """Keep what is no string; returns the place after it, and after the quote that opens a string."""
        quote = data.find(b'"', at)
        self._keep(data[at : quote if quote >= 0 else len(data)])
        if quote < 0:
            return len(data)
        self._open = bytearray(b'"')
        self._octets += 1
        return quote + 1

    def _add_inside(self, data: bytes, at: int) -> int:
        """Take octets of the open string; returns the place after them, and after the quote that closes it."""
        inside = _INSIDE.match(data, at)
        end = inside.end() if inside else at
        if isinstance(self._open, _Omitted):
            self._open.add(data[at:end])
        elif self._open is not None:
            self._open += data[at:end]
            self._octets += end - at
            self._make_room()
        if data[end : end + 1] == b'"':
            self._close()
            return end + 1
        if len(data) - end >= LONGEST_ESCAPE:
            raise _not_json()
        self._escape = data[end:]
        return len(data)

    def _close(self) -> None:
        """End the open string."""
        closed, self._open = self._open, None
        if isinstance(closed, _Omitted):
            self._keep(closed.placeholder())
        elif closed is not None:
            self._octets -= len(closed)
            if len(closed) >= self._least_dropped:
                self._long[len(self._parts)] = len(closed)
                self._parts.append(b"")
                self._replace(len(self._parts) - 1, bytes(closed) + b'"')
            else:
                self._keep(closed + b'"')

    def _keep(self, octets: bytes | bytearray) -> None:
        last = self._parts[-1]
        if not isinstance(last, bytearray):
            last = bytearray()
            self._parts.append(last)
        last += octets
        self._octets += len(octets)
        self._make_room()

    def _replace(self, number: int, octets: bytes) -> None:
        self._octets += len(octets) - len(self._parts[number])
        self._parts[number] = octets

    def _make_room(self) -> None:
        """Drop the longest strings until the rest fits."""
        while self._octets > self._most_kept:
            longest = max(self._long, key=self._long.__getitem__, default=-1)
            least = self._long.get(longest, self._least_dropped)
            if isinstance(self._open, bytearray) and len(self._open) >= least:
                self._octets -= len(self._open)
                self._open = _Omitted(self._open[1:])
            elif longest >= 0:
                del self._long[longest]
                self._replace(longest, _Omitted(self._parts[longest][1:-1]).placeholder())
            else:
                raise self._does_not_fit()

    def _does_not_fit(self) -> TooLong:
        return TooLong(f"the body is longer than {self._most_kept:,} octets, not counting media in JSON")


class _Omitted:
    """A string that is dropped: the size of what it encodes."""

    def __init__(self, octets: bytes | bytearray) -> None:
        self._characters = 0
        self.add(octets)

    def add(self, octets: bytes | bytearray) -> None:
        self._characters += _characters(octets)

    def placeholder(self) -> bytes:
        return json.dumps({_OMITTED: self._characters * 3 // 4}).encode()


def too_long() -> TooLong:
    """Return the refusal of a body that is not read to its end."""
    return TooLong(f"the body is longer than {MOST:,} octets")


def media_octets(value: Any) -> int:
    """Return the size of media in base64, which may have been dropped; 0 if there is none."""
    if isinstance(value, str):
        return len(value.encode("latin-1", "replace").translate(None, _NOT_BASE64)) * 3 // 4
    return omitted_octets(value) or 0


def omitted_octets(value: Any) -> int | None:
    """Return the size of what a dropped string encodes, or None for any other value of a document."""
    size = value.get(_OMITTED) if isinstance(value, dict) and len(value) == 1 else None
    return size if type(size) is int and 0 <= size <= MOST else None


def _characters(octets: bytes | bytearray) -> int:
    """Return how many characters of base64 a piece of a string of JSON has."""
    if b"\\" in octets:
        try:
            decoded: str = json.loads(f'"{octets.decode("latin-1")}"', strict=False)
        except ValueError:
            raise _not_json() from None
        octets = decoded.encode("latin-1", "replace")
    return len(octets.translate(None, _NOT_BASE64))


def _not_json() -> ValueError:
    return ValueError("the body is not JSON")
