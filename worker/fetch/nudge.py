"""Nudge: reads what lies in a lane's queue; what is no nudge is dropped, counted and logged once per problem.

A nudge is a hint, so dropping one loses nothing: a look finds its messages.  Only lane and ids of a nudge are used, so
the worker gets a task message of its own making with these, whatever else the queue's entry had.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from enum import StrEnum
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from prometheus_client import Counter

from threelane.producer import task_message
from threelane.runtime import logs
from threelane.runtime.visible import visible
from threelane.store import keys

MOST_BYTES = 1_000_000  # of a nudge; one of 99 ids has some 6,000
MOST_IDS = 1_000
EXCERPT_BYTES = 120
_LONG_NUMBER = re.compile(r"\d{6,}")
_read_json = msgspec.json.Decoder().decode
_UNREADABLE = (ValueError, RecursionError, binascii.Error)


class NudgeProblem(StrEnum):
    """Why an entry of a queue is no nudge; a metric label."""

    TOO_LONG = "too_long"
    NOT_JSON = "not_json"
    ENVELOPE = "envelope"  # JSON, but no task message
    TASK = "task"  # of another task
    BODY = "body"  # the lane and ids cannot be read


class NoNudge(ValueError):
    """An entry of a queue is no nudge."""

    def __init__(self, problem: NudgeProblem) -> None:
        """Take the problem."""
        super().__init__(problem)
        self.problem = problem


class Nudge(NamedTuple):
    """The messages of a lane that may be due."""

    lane: int
    ids: list[str]


UNREADABLE_NUDGES = Counter(
    "threelane_unreadable_nudges",
    "Entries of the lanes' queues that this process dropped because they are no nudges, by problem",
    ["problem"],
)
for _problem in NudgeProblem:  # a counter that first appears as 1 shows no increase
    UNREADABLE_NUDGES.labels(_problem)


def from_list(item: bytes, queue: str) -> dict[str, Any]:
    """Return an entry of a Redis list as the envelope of a task message; raises NoNudge."""
    envelope = _json(item, NudgeProblem.NOT_JSON)
    headers, body = (envelope.get(name) for name in ("headers", "body")) if isinstance(envelope, dict) else (None, None)
    if not isinstance(headers, dict) or not isinstance(body, str):
        raise NoNudge(NudgeProblem.ENVELOPE)
    if headers.get("task") != keys.TASK:
        raise NoNudge(NudgeProblem.TASK)
    properties = envelope.get("properties")
    try:
        encoded = isinstance(properties, dict) and properties.get("body_encoding") == "base64"
        arguments = base64.b64decode(body, validate=True) if encoded else body.encode()
    except _UNREADABLE:
        raise NoNudge(NudgeProblem.BODY) from None
    return _envelope(read(arguments), queue)


def from_amqp(headers: Any, body: Any) -> tuple[bytes, dict[str, Any]]:
    """Return body and properties of a task message for a message of RabbitMQ; raises NoNudge."""
    if not isinstance(headers, Mapping):
        raise NoNudge(NudgeProblem.ENVELOPE)
    if headers.get("task") != keys.TASK:
        raise NoNudge(NudgeProblem.TASK)
    nudge = read(body.encode("utf-8", "surrogateescape") if isinstance(body, str) else bytes(body))
    task_id = task_message.new_id()
    properties = {
        "application_headers": task_message.headers(task_id),
        "content_type": task_message.CONTENT_TYPE,
        "content_encoding": task_message.CONTENT_ENCODING,
        "correlation_id": task_id,
        "delivery_mode": task_message.PERSISTENT,
    }
    return task_message.body(nudge.lane, nudge.ids), properties


def read(body: bytes) -> Nudge:
    """Return the lane and ids of a task message's body; raises NoNudge."""
    found = _json(body, NudgeProblem.BODY)
    try:
        lane, ids = found[0]
    except (TypeError, ValueError, LookupError):
        raise NoNudge(NudgeProblem.BODY) from None
    is_readable = (
        type(lane) is int
        and lane in keys.LANES
        and isinstance(ids, list)
        and len(ids) <= MOST_IDS
        and all(isinstance(one, str) and len(one) <= 64 and one.isprintable() for one in ids)
    )
    if not is_readable:
        raise NoNudge(NudgeProblem.BODY)
    return Nudge(lane, ids)


class DroppedNudges:
    """Counts what was dropped, for the metrics and the doctor; safe for threads."""

    def __init__(self) -> None:
        """Start with none."""
        self._changing = Lock()
        self._counts: dict[NudgeProblem, int] = {}
        self._last = 0.0  # monotonic

    def note(self, queue: str, problem: NudgeProblem, item: Any) -> None:
        """Count an entry, and log the first one of each problem with its beginning."""
        UNREADABLE_NUDGES.labels(problem).inc()
        with self._changing:
            times = self._counts[problem] = self._counts.get(problem, 0) + 1
            self._last = monotonic()
        if times == 1:
            raw = item if isinstance(item, bytes) else str(item).encode("utf-8", "backslashreplace")
            excerpt = visible(raw[:EXCERPT_BYTES].decode("utf-8", "backslashreplace"))
            hidden = _LONG_NUMBER.sub("*", excerpt)
            logs.event("nudge_dropped", level=40, queue=queue, problem=problem, bytes=len(raw), begins=hidden)

    def report(self, now: int) -> str:
        """Return when the last was dropped (ms) and how many by problem, as the heartbeat has it; "" for none."""
        with self._changing:
            counts = " ".join(f"{problem}={times}" for problem, times in sorted(self._counts.items()))
            return f"{now - int((monotonic() - self._last) * 1000)} {counts}" if counts else ""


DROPPED = DroppedNudges()


def _json(raw: bytes, problem: NudgeProblem) -> Any:
    if len(raw) > MOST_BYTES:
        raise NoNudge(NudgeProblem.TOO_LONG)
    try:
        return _read_json(raw)
    except _UNREADABLE:
        raise NoNudge(problem) from None


def _envelope(nudge: Nudge, queue: str) -> dict[str, Any]:
    """Return a nudge in kombu's form on Redis."""
    task_id = task_message.new_id()
    return {
        "body": base64.b64encode(task_message.body(nudge.lane, nudge.ids)).decode(),
        "content-encoding": task_message.CONTENT_ENCODING,
        "content-type": task_message.CONTENT_TYPE,
        "headers": task_message.headers(task_id),
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": task_message.PERSISTENT,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": task_id,
        },
    }
