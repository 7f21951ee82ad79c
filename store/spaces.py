"""Spaces: the accounts whose messages may wait in Redis, and scripts for messages of accounts yet unknown.

A script works in the space of one account.  Of a message of another one it moves nothing, and names that account.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import redis
import redis.asyncio

from threelane.contract.accounts.account import nearest, stored
from threelane.store import accounts
from threelane.store.keys import HERE, Space, space_of

T = TypeVar("T")
MOST_ROUNDS = 5  # a message may change its account between two of them


class Elsewhere(StrEnum):
    """The start of a script's reply for a message of another account, whose name follows."""

    ACCOUNT = "account:"


class Placed(NamedTuple):
    """The reply of a script for one message, and the space of its account."""

    reply: str
    space: Space


_FRESH_SECONDS = 1.0
_known: WeakKeyDictionary[Any, tuple[float, tuple[Space, ...]]] = WeakKeyDictionary()


def spaces(client: redis.Redis, clock: Callable[[], float] = time.monotonic) -> tuple[Space, ...]:
    """Return the spaces of all accounts, the default one first; readers of indexes and counts read each of them.

    As of the last second, with accounts that were removed from the accounts file: their messages remain stored.
    """
    return _fresh(client, clock()) or _note(client, clock(), accounts.names(client))


async def spaces_async(client: redis.asyncio.Redis, clock: Callable[[], float] = time.monotonic) -> tuple[Space, ...]:
    """Do the same on an asyncio client."""
    return _fresh(client, clock()) or _note(client, clock(), await accounts.names_async(client))


def _fresh(client: Any, now: float) -> tuple[Space, ...]:
    read_at, found = _known.get(client.connection_pool, (float("-inf"), ()))
    return found if now - read_at < _FRESH_SECONDS else ()


def _note(client: Any, now: float, names: Sequence[str]) -> tuple[Space, ...]:
    found = tuple(space_of(stored(name)) for name in names)
    _known[client.connection_pool] = (now, found)
    return found


def place_of(name: str, names: Sequence[str]) -> Space:
    """Return the space of an account by its name, one of ``names``; raises ValueError for another."""
    if name not in names:
        raise ValueError(f"there is no account {name[:40]}; {nearest(name, [*names])}")
    return space_of(stored(name))


def in_its_space(items: Sequence[T], call: Callable[[Space, Sequence[T]], Sequence[str]]) -> list[Placed]:
    """Run a script for messages of any accounts, each in the space of its own; returns the replies in order.

    ``call`` runs it in one space.  The default one comes first, so that an installation with one account needs one
    call.
    """
    rounds = _rounds(items)
    try:
        space, some = next(rounds)
        while True:
            space, some = rounds.send(call(space, some))
    except StopIteration as ended:
        placed: list[Placed] = ended.value
        return placed


async def in_its_space_async(
    items: Sequence[T], call: Callable[[Space, Sequence[T]], Coroutine[Any, Any, Sequence[str]]]
) -> list[Placed]:
    """Do the same with a script on an asyncio client."""
    rounds = _rounds(items)
    try:
        space, some = next(rounds)
        while True:
            space, some = rounds.send(await call(space, some))
    except StopIteration as ended:
        placed: list[Placed] = ended.value
        return placed


def _rounds(items: Sequence[T]) -> Generator[tuple[Space, Sequence[T]], Sequence[str], list[Placed]]:
    """Yield each call that is needed, and get its replies."""
    placed = [Placed("", HERE)] * len(items)
    waiting: dict[Space, list[int]] = {HERE: list(range(len(items)))}
    for _ in range(MOST_ROUNDS):
        found: dict[Space, list[int]] = defaultdict(list)
        for space, places in waiting.items():
            replies = yield space, [items[place] for place in places]
            for place, reply in zip(places, replies, strict=True):
                if reply.startswith(Elsewhere.ACCOUNT):
                    found[space_of(reply.removeprefix(Elsewhere.ACCOUNT))].append(place)
                else:
                    placed[place] = Placed(reply, space)
        if not found:
            return placed
        waiting = found
    raise RuntimeError("the accounts of messages keep changing: try again")
