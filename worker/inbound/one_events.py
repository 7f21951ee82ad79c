"""One events: what the One API reports, as JSON; unknown kinds of events and fields are passed over.

Source: Clickatell's pages on One API callbacks.  A report carries no charge.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from producer.states import Status
from worker.policy.one_statuses import one_status
from worker.receipt import Receipt

_OUR_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def read(body: bytes) -> list[tuple[Receipt, Status | None]]:
    """Return the status updates of ours, each with what it makes of the message; raises ValueError with a sentence.

    An update without an id of ours belongs to another application of the account: it is no mistake, and not ours.
    """
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("the body is no JSON") from None
    event = told.get("event") if isinstance(told, dict) else None
    if not isinstance(event, dict):
        raise ValueError("event is missing")
    updates = event.get("messageStatusUpdate", [])
    if not isinstance(updates, list):
        raise ValueError("messageStatusUpdate is no list")
    return [found for found in map(_update, updates) if found is not None]


def _update(told: Any) -> tuple[Receipt, Status | None] | None:
    if not isinstance(told, dict):
        raise ValueError("an update is no object")
    ours, name, number = told.get("clientMessageId"), told.get("status"), told.get("statusCode")
    if not isinstance(ours, str) or not _OUR_ID.fullmatch(ours):
        return None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("status is missing or no status name, such as DEVICE_ACK")
    theirs = told.get("messageId")
    gateway_id = theirs[:64] if isinstance(theirs, str) else ""
    return Receipt(ours, gateway_id, name), one_status(name, number if type(number) is int else None)
