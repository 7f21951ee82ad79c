"""Callbacks: what the One API reports, as JSON; unknown kinds of events and fields are passed over.

Source: Clickatell's pages on One API callbacks.  A report carries no charge.  There is one event in a request today,
and there may be more: one that cannot be read does not take the others with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import partial
from typing import Any, TypeVar

from threelane.gateways.one.statuses import ONE_STATUSES, one_status
from threelane.worker.inbound import moment
from threelane.worker.inbound.charset import unescape
from threelane.worker.inbound.fields import decode_json, word
from threelane.worker.inbound.joining import part_of, writable
from threelane.worker.inbound.report import Inbound, InboundReply, StatusReport, our_id, printable, report_text
from threelane.worker.inbound.speech import sender

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_REPLIES = {"moText": "content", "moMedia": "caption", "moLocation": "name"}  # the kinds, and where their text is
_T = TypeVar("_T")


def read(body: bytes) -> Inbound:
    """Return the statuses of ours and the replies; nothing for a probe and for events of kinds that we do not know.

    An update without an id of ours belongs to another application of the account, and is passed over.  ValueError says
    what is wrong when nothing could be read; otherwise ``problem`` says it, for the gateway to repeat the request.
    """
    if not body.strip():
        return Inbound()
    told = decode_json(body)
    event = told.get("event") if isinstance(told, dict) else None
    if not isinstance(event, dict):
        raise ValueError("event is missing: it should be an object")
    problems: list[str] = []
    reports = tuple(_each(event, "messageStatusUpdate", _report, problems))
    replies: list[InboundReply] = []
    for kind, text in _REPLIES.items():
        replies += _each(event, kind, partial(_reply, text=text), problems)
    if problems and not reports and not replies:
        raise ValueError(problems[0])
    return Inbound(reports, tuple(replies), problems[0] if problems else "")


def read_request(_query: bytes, body: bytes) -> Inbound:
    """Return what a request says; its query says nothing."""
    return read(body)


def _each(event: dict[str, Any], kind: str, read_one: Callable[[Any], _T | None], problems: list[str]) -> Iterator[_T]:
    """Read the events of one kind; what is wrong with one is noted."""
    told = event.get(kind)
    if told is not None and not isinstance(told, list):
        problems.append(f"{kind} is no list")
        return
    for one in told or ():
        try:
            if one is not None and not isinstance(one, dict):
                raise ValueError("an event is no object")
            found = read_one(one) if one else None
        except ValueError as wrong:
            problems.append(f"{kind}: {wrong}")
            continue
        if found is not None:
            yield found


def _report(told: dict[str, Any]) -> StatusReport | None:
    ours, name, number = (
        our_id(word(told.get("clientMessageId"))),
        word(told.get("status")),
        word(told.get("statusCode")),
    )
    if not ours:
        return None
    if not _NAME.fullmatch(name):
        raise ValueError("status is missing or no status name, such as DEVICE_ACK")
    return StatusReport(
        ours,
        printable(word(told.get("messageId"))),
        name,
        to=one_status(name, int(number) if re.fullmatch("[0-9]{1,4}", number) else None),
        text=report_text(name, word(told.get("timestamp")), "", word(told.get("statusDescription"))),
        unlisted=name not in ONE_STATUSES,
    )


def _reply(told: dict[str, Any], text: str) -> InboundReply:
    reply_id, channel = printable(word(told.get("messageId"))), told.get("sms")
    if not reply_id:
        raise ValueError("messageId is missing: it says which reply this is")
    sms = channel if isinstance(channel, dict) else {}
    part, content = part_of(word(sms.get("udh", told.get("udh")))), told.get(text)
    return InboundReply(
        reply_id,
        sender(word(told.get("from")), "from"),
        printable(word(told.get("to"))),
        writable(unescape(content, word(told.get("charset")), always=False), part) if isinstance(content, str) else "",
        at=moment.milliseconds(word(told.get("timestamp")), UTC),
        network=printable(word(sms.get("network"))),
        related_id=our_id(word(told.get("relatedClientMessageId"))),
        related_gateway_id=printable(word(told.get("relatedMessageId"))),
        part=part,
    )
