"""What the broker has of nudges, on Redis or on RabbitMQ: a test looks, or loses some, without knowing which it is."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import amqp
import redis

from tests import rabbit
from threelane.store import keys

MOST = 2_000  # nudges that a test looks at


class Nudges(Protocol):
    """The nudges of the three lanes."""

    returns_at_once: bool  # whether what a dead worker held is back at once, or gone

    def depth(self, lane: int) -> int:
        """Return how many wait."""

    def waiting(self, lane: int) -> list[list[str]]:
        """Return the ids of each that waits, oldest first."""

    def lose(self, lane: int) -> None:
        """Forget all that wait."""


def nudges_of(client: redis.Redis) -> Nudges:
    """Return those of the broker under test; ``client`` is of the Redis that would be the broker."""
    return OnRabbitMQ(os.environ["THREELANE_BROKER_URL"]) if rabbit.wanted() else OnRedis(client)


class OnRedis:
    """Lists of kombu, the head at the right."""

    returns_at_once = False

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def depth(self, lane: int) -> int:
        return int(self._client.llen(keys.queue(lane)))

    def waiting(self, lane: int) -> list[list[str]]:
        envelopes = [json.loads(one) for one in reversed(self._client.lrange(keys.queue(lane), 0, -1))]
        return [_ids(one["headers"]["task"], base64.b64decode(one["body"]), lane) for one in envelopes]

    def lose(self, lane: int) -> None:
        self._client.delete(keys.queue(lane))


class OnRabbitMQ:
    """Queues; a look at them takes all nudges and puts them back where they were."""

    returns_at_once = True

    def __init__(self, url: str) -> None:
        self._address = url.rpartition("@")[2].partition("/")[0]

    def depth(self, lane: int) -> int:
        with self._channel() as channel:
            return _declared(channel, lane)

    def waiting(self, lane: int) -> list[list[str]]:
        with self._channel() as channel:  # whose end puts back what was taken
            depth = _declared(channel, lane)
            assert depth <= MOST
            taken = [channel.basic_get(keys.queue(lane)) for _ in range(depth)]
            return [_ids(one.headers["task"], one.body, lane) for one in taken if one]

    def seen_before(self, lane: int) -> int:
        """Return how many of those that wait were in somebody's hands."""
        with self._channel() as channel:
            taken = [channel.basic_get(keys.queue(lane)) for _ in range(_declared(channel, lane))]
            return sum(1 for one in taken if one and one.delivery_info["redelivered"])

    def lose(self, lane: int) -> None:
        with self._channel() as channel:
            _declared(channel, lane)
            channel.queue_purge(keys.queue(lane))

    def empty(self) -> None:
        """Forget everything, also what somebody still holds."""
        with self._channel() as channel:
            for lane in keys.LANES:
                channel.queue_delete(keys.queue(lane))
                _declared(channel, lane)

    @contextmanager
    def _channel(self) -> Iterator[amqp.Channel]:
        with amqp.Connection(self._address, connect_timeout=10) as connection:
            yield connection.channel()


def _declared(channel: amqp.Channel, lane: int) -> int:
    """Return how many wait in a queue, and make it, as Celery does, if there is none."""
    return int(channel.queue_declare(keys.queue(lane), durable=True, auto_delete=False).message_count)


def _ids(task: str, body: bytes | str, lane: int) -> list[str]:
    assert keys.TASK == task
    said_lane, ids = json.loads(body)[0]
    assert lane == said_lane
    return list(ids)
