"""Nudge on Redis: the list of a lane, in kombu's envelope, with redis-py only."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from functools import cache

from threelane.producer import task_message
from threelane.runtime.settings import Settings
from threelane.store import keys
from threelane.store.connect import connect_to

_ID, _BODY = b"<id>", b"<body>"


class RedisBroker:
    """Pushes nudges onto the lists that kombu's workers pop from; threads and forked processes may share it.

    A call waits at most ``redis_timeout_seconds`` in total.
    """

    def __init__(self, settings: Settings) -> None:
        """Take the settings; the first nudge connects."""
        self._client = connect_to(settings.broker, settings)

    def publish(self, lane: int, bodies: Sequence[bytes], account: str = "") -> None:
        """Push nudges in one call, in order; raises RedisError."""
        queue = keys.queue(lane, account)
        self._client.lpush(queue, *[_envelope(queue, body) for body in bodies])

    def depths(self, account: str = "") -> dict[int, int]:
        """Return the number of waiting nudges of each lane; raises RedisError."""
        return dict(zip(keys.LANES, self._lengths(account), strict=True))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def forget(self) -> None:
        """Do nothing in a child process: redis-py does not use the parent's connections there."""

    def _lengths(self, account: str) -> list[int]:
        with self._client.pipeline(transaction=False) as pipe:
            for lane in keys.LANES:
                pipe.llen(keys.queue(lane, account))
            return pipe.execute()


@cache
def _template(queue: str) -> tuple[bytes, list[bytes]]:
    """Return the part of an envelope for a queue before its body, and the parts after it, between the ids."""
    envelope = {
        "body": _BODY.decode(),
        "content-encoding": task_message.CONTENT_ENCODING,
        "content-type": task_message.CONTENT_TYPE,
        "headers": task_message.headers(_ID.decode()),
        "properties": {
            "correlation_id": _ID.decode(),
            "reply_to": "",
            "delivery_mode": task_message.PERSISTENT,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": _ID.decode(),
        },
    }
    before, after = json.dumps(envelope, separators=(",", ":")).encode().split(_BODY)
    return before, after.split(_ID)


def _envelope(queue: str, body: bytes) -> bytes:
    before, after = _template(queue)
    return before + b64encode(body) + task_message.new_id().encode().join(after)
