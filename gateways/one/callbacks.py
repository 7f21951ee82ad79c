"""Callbacks: reads the One API's JSON callbacks; ignores unknown kinds of events and fields.

Source: Clickatell's pages on One API callbacks.  A report carries no charge.  A request has one event today, and may
have more: an unreadable one does not affect the others.  Media come as base64 or as addresses; both are only counted.
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
from threelane.worker.inbound.media import ReplyMedia, media_type
from threelane.worker.inbound.report import Inbound, InboundReply, StatusReport, our_id, printable, report_text
from threelane.worker.inbound.sieve import media_octets, omitted_octets
from threelane.worker.inbound.speech import sender

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_MEDIA = "moMedia"
_SIZE = re.compile("[0-9]{1,12}")
_REPLIES = {
    "moText": "content",
    _MEDIA: "caption",
    "moLocation": "name",
}  # kinds of events, and the field with their text
_FOREIGN = StatusReport("", "", "", None)
_T = TypeVar("_T")


def read(body: bytes) -> Inbound:
    """Return the statuses of our messages and the replies; nothing for a probe or for unknown kinds of events.

    An update without our id belongs to another application of the account, and counts as foreign.  Raises ValueError if
    nothing is readable; otherwise ``problem`` describes the unreadable part, and the gateway should repeat the request.
    """
    if not body.strip():
        return Inbound()
    content = decode_json(body)
    event = content.get("event") if isinstance(content, dict) else None
    if not isinstance(event, dict):
        raise ValueError("event is missing: it should be an object")
    problems: list[str] = []
    read_reports = tuple(_each(event, "messageStatusUpdate", _report, problems))
    reports = tuple(one for one in read_reports if one.id)
    replies: list[InboundReply] = []
    for kind, text in _REPLIES.items():
        replies += _each(event, kind, partial(_reply, kind=kind, text=text), problems)
    foreign = len(read_reports) - len(reports)
    if problems and not reports and not replies and not foreign:
        raise ValueError(problems[0])
    return Inbound(reports, tuple(replies), problems[0] if problems else "", foreign)


def read_request(_query: bytes, body: bytes) -> Inbound:
    """Return the contents of a request; its query has none."""
    return read(body)


def _each(event: dict[str, Any], kind: str, read_one: Callable[[Any], _T], problems: list[str]) -> Iterator[_T]:
    """Read the events of one kind; adds a problem for each unreadable one."""
    listed = event.get(kind)
    if listed is not None and not isinstance(listed, list):
        problems.append(f"{kind} is not a list")
        return
    for one in listed or ():
        try:
            if one is not None and not isinstance(one, dict):
                raise ValueError("an event is not an object")
            if one:
                yield read_one(one)
        except ValueError as wrong:
            problems.append(f"{kind}: {wrong}")


def _report(event: dict[str, Any]) -> StatusReport:
    """Return a report; its id is "" if the message is not ours, whatever the rest is."""
    ours, name, number = (
        our_id(word(event.get("clientMessageId"))),
        word(event.get("status")),
        word(event.get("statusCode")),
    )
    if not ours:
        return _FOREIGN
    if not _NAME.fullmatch(name):
        raise ValueError("status is missing or not a status name, such as DEVICE_ACK")
    return StatusReport(
        ours,
        printable(word(event.get("messageId"))),
        name,
        to=one_status(name, int(number) if re.fullmatch("[0-9]{1,4}", number) else None),
        text=report_text(name, word(event.get("timestamp")), "", word(event.get("statusDescription"))),
        unlisted=name not in ONE_STATUSES,
        at=moment.milliseconds(word(event.get("timestamp")), UTC),
    )


def _reply(event: dict[str, Any], kind: str, text: str) -> InboundReply:
    reply_id, channel = printable(word(event.get("messageId"))), event.get("sms")
    if not reply_id:
        raise ValueError("messageId is missing: it identifies the reply")
    sms = channel if isinstance(channel, dict) else {}
    part, content = part_of(word(sms.get("udh", event.get("udh")))), _text(event.get(text), text)
    return InboundReply(
        reply_id,
        sender(word(event.get("from")), "from"),
        printable(word(event.get("to"))),
        writable(unescape(content, word(event.get("charset")), always=False), part),
        at=moment.milliseconds(word(event.get("timestamp")), UTC),
        network=printable(word(sms.get("network"))),
        related_id=our_id(word(event.get("relatedClientMessageId"))),
        related_gateway_id=printable(word(event.get("relatedMessageId"))),
        part=part,
        media=tuple(_media(event)) if kind == _MEDIA else (),
    )


def _media(event: dict[str, Any]) -> Iterator[ReplyMedia]:
    """Yield the files of an event: a list of addresses with sizes, or one file as base64."""
    listed = event.get("files")
    files = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    for one in files:
        size = word(one.get("byteSize"))
        yield ReplyMedia(media_type(word(one.get("contentType"))), int(size) if _SIZE.fullmatch(size) else 0)
    if not files:
        yield ReplyMedia(media_type(word(event.get("contentType"))), media_octets(event.get("content")))


def _text(value: object, field: str) -> str:
    if omitted_octets(value) is not None:
        raise ValueError(f"{field} is too long for a text")
    return value if isinstance(value, str) else ""
