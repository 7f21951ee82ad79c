"""The nudges in the broker, Redis or RabbitMQ, for tests that read or lose them with either."""

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

MOST = 2_000  # nudges that a test reads


class Nudges(Protocol):
    """The nudges of the three lanes."""

    returns_at_once: bool  # whether the nudges of a dead worker return at once, or are lost

    def depth(self, lane: int) -> int:
        """Return the number of waiting nudges."""

    def waiting(self, lane: int) -> list[list[str]]:
        """Return the ids in each waiting nudge, oldest first."""

    def lose(self, lane: int) -> None:
        """Delete all waiting nudges."""


def nudges_of(client: redis.Redis) -> Nudges:
    """Return the nudges of the broker under test; ``client`` is for Redis as the broker."""
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
    """Queues; reading them gets all nudges and requeues them in order."""

    returns_at_once = True

    def __init__(self, url: str) -> None:
        self._address = url.rpartition("@")[2].partition("/")[0]

    def depth(self, lane: int) -> int:
        with self._channel() as channel:
            return _declared(channel, lane)

    def waiting(self, lane: int) -> list[list[str]]:
        with self._channel() as channel:  # closing it requeues the nudges
            depth = _declared(channel, lane)
            assert depth <= MOST
            received = [channel.basic_get(keys.queue(lane)) for _ in range(depth)]
            return [_ids(one.headers["task"], one.body, lane) for one in received if one]

    def seen_before(self, lane: int) -> int:
        """Return how many of the waiting nudges were delivered before."""
        with self._channel() as channel:
            received = [channel.basic_get(keys.queue(lane)) for _ in range(_declared(channel, lane))]
            return sum(1 for one in received if one and one.delivery_info["redelivered"])

    def lose(self, lane: int) -> None:
        with self._channel() as channel:
            _declared(channel, lane)
            channel.queue_purge(keys.queue(lane))

    def empty(self) -> None:
        """Delete everything, including unacknowledged nudges."""
        with self._channel() as channel:
            for lane in keys.LANES:
                channel.queue_delete(keys.queue(lane))
                _declared(channel, lane)

    @contextmanager
    def _channel(self) -> Iterator[amqp.Channel]:
        with amqp.Connection(self._address, connect_timeout=10) as connection:
            yield connection.channel()


def _declared(channel: amqp.Channel, lane: int) -> int:
    """Return the number of messages in a queue; creates the queue, as Celery does."""
    return int(channel.queue_declare(keys.queue(lane), durable=True, auto_delete=False).message_count)


def _ids(task: str, body: bytes | str, lane: int) -> list[str]:
    assert keys.TASK == task
    nudged_lane, ids = json.loads(body)[0]
    assert lane == nudged_lane
    return list(ids)
