"""Waiting: the messages that left the plain path and are not sent yet, by lane and cause, the oldest first.

The plain path is accept or release, queue, claim, sent; its indexes have the age of what waits on it.  What leaves it
is noted in one sorted set, whose members are in lexicographic order: ``<lane>:<cause>:<since>:<id>``.  ``since`` is
when the message was accepted, became due or was redriven, and does not change with what is done to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from threelane.store import keys
from threelane.store.keys import HERE, Space
from threelane.store.record import Field


class Cause(StrEnum):
    """Why a message waits."""

    RETRY = "retry"  # for its next attempt
    HOLD = "hold"  # its sender or prefix is on hold
    NEWER = "newer"  # for a worker that knows its schema
    WINDOW = "window"  # its sending window is closed; it is due when the window opens
    IN_DOUBT = "in_doubt"  # for a look-up
    REQUEUED = "requeued"  # in its lane again after one of these, or released late
    SWEPT = "swept"  # in its lane again after the sweep found it


SINCE = (Field.ACCEPTED, Field.DUE, Field.REDRIVEN)
"""The fields of a record the latest of which is since when its message waits."""
IN_LANE = frozenset({Cause.REQUEUED, Cause.SWEPT})
"""The causes of messages that are queued, or being sent."""
PUT_OFF = frozenset({Cause.RETRY, Cause.HOLD, Cause.NEWER})
"""The causes of messages that are scheduled, although they were due before."""


class Group(NamedTuple):
    """The number of messages that wait for one cause, and since when the oldest does (ms); 0: none waits."""

    number: int
    since: int


def cause_of(note: str) -> str:
    """Return the cause in a record's ``waiting`` field; "" if it has none."""
    return note.split(":")[1] if note else ""


def bounds(lane: int, cause: Cause) -> tuple[str, str]:
    """Return the bounds of a group's members, in lexicographic order."""
    return f"[{lane}:{cause}:", f"({lane}:{cause};"  # ";" follows ":"


def queue(pipe: Any, lane: int, cause: Cause, space: Space = HERE) -> None:
    """Add the two commands that read a group of an account to a pipeline."""
    first, after = bounds(lane, cause)
    pipe.zlexcount(keys.names(space).WAITING, first, after)
    pipe.zrange(keys.names(space).WAITING, first, after, bylex=True, offset=0, num=1)


def take(replies: Iterator[Any]) -> Group:
    """Return a group from the replies to its two commands."""
    number, oldest = next(replies), next(replies)
    return Group(number, _since(oldest[0]) if oldest else 0)


def _since(member: bytes) -> int:
    """Return since when a member waits, ms; 0 for one that is damaged."""
    parts = member.split(b":")
    return int(parts[2]) if len(parts) == 4 and parts[2].isdigit() else 0
