"""Readable: what can be read of a record, by the same tables as the scripts check.

A record that cannot be read whole is shown with the rest of it, the code ``damaged_record`` and the fields at fault.
The round of a worker that meets it sets it aside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
import redis
from redis.exceptions import ResponseError

from threelane.contract import message
from threelane.contract.message import Message
from threelane.contract.refusal import Owner
from threelane.store import keys
from threelane.store.record import ALWAYS, BEFORE_SENT, NEEDED, SHAPES, Field, Shape
from threelane.store.states import STORED, Status

CODE = "damaged_record"
"""The code and the reason of a message whose record is unreadable."""
NO_HASH: Mapping[bytes, bytes] = {}
"""Stands for a key of another type."""
FALLBACK_LANE = str(keys.LANES[-1])


class UnreadableBody(ValueError):
    """The body of a record is not that of its message."""


_FITS: Mapping[Shape, Callable[[str], Any]] = {
    Shape.STATUS: {str(one) for one in Status}.__contains__,
    Shape.LANE: {str(lane) for lane in keys.LANES}.__contains__,
    Shape.NUMBER: re.compile(r"-?[0-9]{1,15}").fullmatch,
    Shape.DIGITS: re.compile(r"[0-9]{1,20}").fullmatch,
    Shape.WAITS: re.compile(r"(?:[0-9]+(?:\.[0-9]*)?(?: |$))*").fullmatch,
    Shape.WAITING: re.compile(r"[0-9]:[A-Za-z_]+:[0-9]+").fullmatch,
    Shape.PAUSED: re.compile(r"[0-9a-f]{40}:[0-9]:[0-9]+").fullmatch,
    Shape.REPORTS: re.compile(r"(?:[0-9]+ .*)?", re.DOTALL).fullmatch,
    Shape.CANCEL: re.compile(r"[0-9]+ [0-9]+").fullmatch,
    Shape.BODY: re.compile(r"\{.*", re.DOTALL).fullmatch,
    Shape.TEXT: lambda _: True,
}


def read(client: redis.Redis, message_id: str) -> dict[str, str] | None:
    """Return the readable fields of a message's record; None if there is none; raises RedisError."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.record(message_id))
        return readable(pipe.execute(raise_on_error=False)[0])


def row(names: Sequence[Field], reply: Any) -> dict[str, str] | None:
    """Return the same of the fields ``names`` alone, by their values in this order."""
    if isinstance(reply, Exception):
        return readable(reply)
    found = {name.encode(): value for name, value in zip(names, reply, strict=True) if value is not None}
    return readable(found, names)


def readable(reply: Any, names: Collection[str] = tuple(Field)) -> dict[str, str] | None:
    """Return the readable fields of a record by the reply of Redis; None if there is no record; raises RedisError.

    ``names`` are the fields that were requested.

    What is needed and cannot be read has a value that says nothing: the state ``unknown``, lane 3, time 0.
    """
    if isinstance(reply, Exception) and not (isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE")):
        raise reply
    if reply is NO_HASH or isinstance(reply, Exception):
        return _filled({}, ["the key is no hash"])
    if not reply:
        return None
    found, faults = {}, []
    for name, raw in reply.items():
        value = _text(raw)
        key = name.decode("ascii", "backslashreplace")
        if value is None or not _fits(key, value):
            faults.append(key)
        else:
            found[key] = value
    faults += _missing(found, {*names}.difference(faults))
    if Field.PAUSED in found and found.get(Field.STATUS) == STORED[Status.PAUSED]:
        found[Field.STATUS] = Status.PAUSED.value
    return _filled(found, faults) if faults else found


def body_of(raw: bytes, message_id: str) -> Message:
    """Return the message of a record's body; raises UnreadableBody."""
    try:
        found = message.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as failed:
        raise UnreadableBody(type(failed).__name__) from None
    if found.id != message_id or found.lane not in keys.LANES or not _FITS[Shape.DIGITS](found.to):
        raise UnreadableBody("it is of another message")
    return found


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _fits(name: str, value: str) -> bool:
    shape = SHAPES.get(name)  # type: ignore[call-overload] # a field of a newer version has none
    return shape is None or bool(_FITS[shape](value))


def _missing(found: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Return which of the requested fields a record lacks; without a state requested, that cannot be known."""
    status = found.get(Field.STATUS)
    return [
        f"no {name}"
        for name, when in NEEDED.items()
        if Field.STATUS in names and name in names and name not in found and (when == ALWAYS or status in BEFORE_SENT)
    ]


def _filled(found: dict[str, str], faults: list[str]) -> dict[str, str]:
    """Return the fields of an unreadable record as a list or a status shows them."""
    stated = {Field.CODE: CODE, Field.REASON: CODE, Field.OWNER: Owner.OPERATOR.value}
    blank = {
        Field.STATUS: Status.UNKNOWN.value,
        Field.LANE: FALLBACK_LANE,
        Field.TO: "",
        Field.PARTS: "1",
        Field.ACCEPTED: "0",
        Field.EXPIRES: "0",
    }
    text = {Field.TEXT: f"damaged record: {', '.join(faults)}"}
    return {str(name): value for name, value in (blank | found | stated | text).items()}
