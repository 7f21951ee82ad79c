"""Sizes: how many messages are in a state, by its indexes; the cost does not depend on their number."""

from __future__ import annotations

import redis

from threelane.store import keys
from threelane.store.spaces import spaces
from threelane.store.states import Status

COUNTED = (Status.SCHEDULED, Status.PAUSED, Status.SENDING, Status.IN_DOUBT, Status.DEAD, Status.SENT)
"""The states whose number is shown beside the lanes; queued messages are shown by lane."""


def sizes(client: redis.Redis, *statuses: Status) -> dict[Status, int]:
    """Return the number of messages of all accounts in each of these states."""
    every = (
        (status, index)
        for space in spaces(client)
        for status in statuses
        for index in keys.indexes_of(status, space=space)
    )
    indexes = list(dict.fromkeys(every))  # dead letters have one index for all accounts
    with client.pipeline(transaction=False) as pipe:
        for _, index in indexes:
            pipe.zcard(index)
        found = pipe.execute()
    numbers = dict.fromkeys(statuses, 0)
    for (status, _), number in zip(indexes, found, strict=True):
        numbers[status] += number
    return numbers
