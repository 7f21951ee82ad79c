"""Wrong type: keys of Threelane that hold another type than the table of keys says, so that commands on them fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

from threelane.store import keys
from threelane.store.keys import HERE, INDEXES, KINDS, LANES, Space
from threelane.store.replies import text_of
from threelane.store.spaces import spaces

TEXT = "WRONGTYPE"
_NONE = "-"  # a name that no row and no message has
PROBES: dict[str, tuple[tuple[str, ...], ...]] = {
    "hash": (("HGET", _NONE),),
    "zset": (("ZSCORE", _NONE), ("ZREM", _NONE)),
    "stream": (("XRANGE", "0-1", "0-1"),),
    "string": (("GET",),),
}
"""Commands that change nothing and fail on a key of another type; the second for users that may not run the first."""


class WrongType(ResponseError):
    """A command failed because of the type of a key; ``names`` are the keys of another type, as far as known."""

    def __init__(self, *names: str) -> None:
        """Take the names of the keys."""
        super().__init__(f"{TEXT} {', '.join(names)}")
        self.names = names


def is_wrong_type(failed: object) -> bool:
    """Return whether an error of Redis is about the type of a key."""
    return isinstance(failed, ResponseError) and text_of(failed).startswith(TEXT)


def single_keys(*accounts: Space) -> dict[str, str]:
    """Return the keys whose names are known, each with its type: those of the installation, and of these accounts."""
    found: dict[str, str] = {}
    for space in accounts or (HERE,):
        found |= {keys.key(name, space=space): kind.type for name, kind in KINDS.items() if not kind.suffix}
        by_lane = [(name, kind.type) for name, kind in KINDS.items() if kind.suffix == "lane"]
        found |= {keys.key(name, str(lane), space): kind for name, kind in by_lane for lane in LANES}
        found |= {index: KINDS[INDEXES[status]].type for status, index in keys.names(space).FORMER.items()}
    return found


def find(client: redis.Redis, names: Iterable[str] = ()) -> list[str]:
    """Return which of these keys, or of all single keys, have another type; those that may not be read are left out."""
    types = single_keys(*spaces(client))
    remaining = [*(names or types)]
    found: list[str] = []
    for attempt in range(max(map(len, PROBES.values()))):
        probed = [(name, PROBES[types[name]][attempt]) for name in remaining if attempt < len(PROBES[types[name]])]
        replies = _probe(client, probed)
        found += [name for (name, _), reply in zip(probed, replies, strict=True) if is_wrong_type(reply)]
        remaining = [
            name for (name, _), reply in zip(probed, replies, strict=True) if isinstance(reply, NoPermissionError)
        ]
    return sorted(found)


def _probe(client: redis.Redis, probed: list[tuple[str, tuple[str, ...]]]) -> list[Any]:
    pipe: Any
    with client.pipeline(transaction=False) as pipe:
        for name, (command, *words) in probed:
            pipe.execute_command(command, name, *words)
        replies: list[Any] = pipe.execute(raise_on_error=False)
    return replies
