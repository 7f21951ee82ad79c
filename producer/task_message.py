"""Task message: a nudge in Celery's message protocol 2, which a worker of Celery 5.3 or later runs as one task."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from threelane.store import keys

CONTENT_TYPE = "application/json"
CONTENT_ENCODING = "utf-8"
PERSISTENT = 2  # the delivery mode of AMQP

_ORIGIN = f"threelane@{socket.gethostname()}"
_NO_KEYWORDS: dict[str, Any] = {}
_NOTHING_FOLLOWS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_encode = msgspec.json.Encoder().encode


def new_id() -> str:
    """Return the id of a task, also the delivery tag by which kombu acknowledges a message on Redis."""
    return str(uuid.uuid4())


def body(lane: int, ids: Sequence[str]) -> bytes:
    """Return the arguments of a nudge, without callbacks."""
    return _encode(((lane, ids), _NO_KEYWORDS, _NOTHING_FOLLOWS))


def headers(task_id: str) -> dict[str, Any]:
    """Return the headers of a nudge, from which a worker reads the task."""
    return {
        "lang": "py",
        "task": keys.TASK,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "group_index": None,
        "shadow": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "",  # for Celery's events, which nobody reads
        "kwargsrepr": "",
        "origin": _ORIGIN,
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
