"""Sizes: how many messages are in a state, by its indexes; the cost does not depend on their number."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from threelane.store import keys
from threelane.store.keys import IndexKey, Space
from threelane.store.spaces import spaces
from threelane.store.states import Status

COUNTED = (Status.SCHEDULED, Status.PAUSED, Status.SENDING, Status.IN_DOUBT, Status.DEAD, Status.SENT)
"""The states whose number is shown beside the lanes; queued messages are shown by lane."""


def sizes(client: redis.Redis, *statuses: Status, space: Space | None = None) -> dict[Status, int]:
    """Return the number of messages in each of these states, of one account or of all; dead letters are of all."""
    places = spaces(client) if space is None else (space,)
    indexes = [(status, index) for status in statuses for index in indexes_of(places, status)]
    with client.pipeline(transaction=False) as pipe:
        for _, index in indexes:
            pipe.zcard(index)
        found = pipe.execute()
    numbers = dict.fromkeys(statuses, 0)
    for (status, _), number in zip(indexes, found, strict=True):
        numbers[status] += number
    return numbers


def indexes_of(places: Sequence[Space], *statuses: Status) -> tuple[IndexKey, ...]:
    """Return all indexes of some accounts that may have ids of these states; that of dead letters once."""
    return tuple(dict.fromkeys(index for space in places for index in keys.indexes_of(*statuses, space=space)))
