"""Nudge on Redis: the list of a lane, in kombu's envelope, with redis-py only."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence

import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from threelane.producer import task_message
from threelane.runtime import tls
from threelane.runtime.settings import Settings
from threelane.store import keys

PAUSE_SECONDS = 0.05  # before the retry on a new connection
_ID, _BODY = b"<id>", b"<body>"


class RedisBroker:
    """Pushes nudges onto the lists that kombu's workers pop from; threads and forked processes may share it."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; the first nudge connects.

        A lost connection is retried once, since it may predate a restart of Redis; a time-out is not.
        """
        pool = redis.BlockingConnectionPool.from_url(
            settings.broker,
            retry=Retry(ConstantBackoff(PAUSE_SECONDS), 1, supported_errors=(RedisConnectionError,)),
            timeout=settings.redis_timeout_seconds,  # for a free connection
            max_connections=settings.redis_connections,
            socket_timeout=settings.redis_timeout_seconds,
            socket_connect_timeout=settings.redis_timeout_seconds,
            health_check_interval=25,
            **({} if settings.broker.startswith("unix://") else {"socket_keepalive": True}),
            **tls.options(settings, settings.broker),
        )
        self._client = redis.Redis.from_pool(pool)

    def publish(self, lane: int, bodies: Sequence[bytes]) -> None:
        """Push nudges in one call, in order; raises RedisError."""
        self._client.lpush(keys.queue(lane), *[_envelope(lane, body) for body in bodies])

    def depths(self) -> dict[int, int]:
        """Return the number of waiting nudges of each lane; raises RedisError."""
        with self._client.pipeline(transaction=False) as pipe:
            for lane in keys.LANES:
                pipe.llen(keys.queue(lane))
            return dict(zip(keys.LANES, pipe.execute(), strict=True))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def forget(self) -> None:
        """Do nothing: redis-py detects a child process and does not use the parent's sockets."""


def _template(lane: int) -> tuple[bytes, list[bytes]]:
    """Return the part of an envelope before its body, and the parts after it, between the ids."""
    envelope = {
        "body": _BODY.decode(),
        "content-encoding": task_message.CONTENT_ENCODING,
        "content-type": task_message.CONTENT_TYPE,
        "headers": task_message.headers(_ID.decode()),
        "properties": {
            "correlation_id": _ID.decode(),
            "reply_to": "",
            "delivery_mode": task_message.PERSISTENT,
            "delivery_info": {"exchange": "", "routing_key": keys.queue(lane)},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": _ID.decode(),
        },
    }
    before, after = json.dumps(envelope, separators=(",", ":")).encode().split(_BODY)
    return before, after.split(_ID)


_TEMPLATES = {lane: _template(lane) for lane in keys.LANES}


def _envelope(lane: int, body: bytes) -> bytes:
    before, after = _TEMPLATES[lane]
    return before + b64encode(body) + task_message.new_id().encode().join(after)
