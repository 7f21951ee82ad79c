"""Route: a rule that sends the messages that meet its conditions through an account."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from threelane.contract import prices
from threelane.contract.window import opening
from threelane.contract.window import parse as parse_window

CONDITIONS = ("producer", "cost_centre", "lane", "tag", "sender", "country", "prefix")
"""What a route may compare; each has the values of which a message must have one."""


class Subject(Protocol):
    """What routes see of a message; a `Message` has it."""

    @property
    def to(self) -> str: ...
    @property
    def producer(self) -> str: ...
    @property
    def cost_centre(self) -> str: ...
    @property
    def lane(self) -> int: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def sender(self) -> str: ...


class Example(NamedTuple):
    """A message that does not exist, as far as routes see it."""

    to: str
    producer: str = ""
    cost_centre: str = ""
    lane: int = 3
    tags: tuple[str, ...] = ()
    sender: str = ""


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule: its conditions, all of which must be met, and its accounts with their weights.

    A condition without values is always met.  ``window`` is the text of a window in time, "" for any time; ``stand_by``
    is the account that takes what was certainly not sent, "" for none.
    """

    name: str
    accounts: dict[str, int]
    stand_by: str = ""
    producer: tuple[str, ...] = ()
    cost_centre: tuple[str, ...] = ()
    lane: tuple[int, ...] = ()
    tag: tuple[str, ...] = ()
    sender: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    window: str = ""
    needs: tuple[str, ...] = ()

    def mismatch(self, subject: Subject, now: int) -> str:
        """Return the name of a condition that a message does not meet now, "" if it meets all."""
        if self.lane and subject.lane not in self.lane:
            return "lane"
        if self.producer and subject.producer not in self.producer:
            return "producer"
        if self.cost_centre and subject.cost_centre not in self.cost_centre:
            return "cost_centre"
        if self.sender and subject.sender not in self.sender:
            return "sender"
        if self.tag and set(self.tag).isdisjoint(subject.tags):
            return "tag"
        if self.prefix and not subject.to.startswith(self.prefix):
            return "prefix"
        if self.country and prices.country(subject.to) not in self.country:
            return "country"
        if self.window and opening(parse_window(self.window), subject.to, now) != now:
            return "window"
        return ""

    def includes(self, other: Route) -> bool:
        """Return whether every message that meets the other route's conditions meets these, too."""
        if self.window not in ("", other.window):
            return False
        for condition in CONDITIONS:
            own, theirs = getattr(self, condition), getattr(other, condition)
            if condition == "prefix":
                narrower = bool(theirs) and all(one.startswith(own) for one in theirs)
            else:
                narrower = bool(theirs) and set(theirs) <= set(own)
            if own and not narrower:
                return False
        return True
