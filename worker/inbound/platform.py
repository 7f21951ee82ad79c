"""Platform: reads callbacks of the Portal's HTTP and REST APIs: legacy statuses and replies, by GET or JSON.

Source: Clickatell's pages on status and reply callbacks, and its client libraries for the early format: no
statusCode, and apiKey instead of integrationName.
"""

from __future__ import annotations

import re
from datetime import UTC

from threelane.worker.inbound import moment
from threelane.worker.inbound.fields import Fields
from threelane.worker.inbound.fields import read as read_fields
from threelane.worker.inbound.report import Inbound, InboundReply, StatusReport, our_id, printable, report_text
from threelane.worker.inbound.speech import sender, spoken
from threelane.worker.policy.statuses import STATUSES, status_code

# The first two and ERROR_WITH_MESSAGE occur in callbacks; all are the guide's descriptions, written as names.
# fmt: off
NAMES = {
    "MESSAGE_UNKNOWN": "001",           "MESSAGE_QUEUED": "002",
    "DELIVERED_TO_GATEWAY": "003",      "RECEIVED_BY_RECIPIENT": "004",
    "ERROR_WITH_MESSAGE": "005",        "USER_CANCELLED_MESSAGE_DELIVERY": "006",
    "ERROR_DELIVERING_MESSAGE": "007",  "OK": "008",
    "ROUTING_ERROR": "009",             "MESSAGE_EXPIRED": "010",
    "MESSAGE_QUEUED_FOR_LATER_DELIVERY": "011",
    "MESSAGE_RECEIVED_BY_GATEWAY": "008",
    "OUT_OF_CREDIT": "012",             "MAXIMUM_MT_LIMIT_EXCEEDED": "014",
}
# fmt: on
_CODE = re.compile(r"-?[0-9]{1,4}")
_NAME = re.compile(r"[A-Z?][A-Z0-9_]{0,63}")


def read(query: bytes, body: bytes) -> Inbound:
    """Return the contents of a request; nothing for a probe.

    A status of a message that is not ours, of another application of the account, counts as foreign, whatever the
    status is.  ``query`` is the raw query of the request line.  Raises ValueError for an unreadable request; its text
    contains none of the values.
    """
    fields = read_fields(query, body)
    if not fields:
        return Inbound()
    code, name = fields.get("statuscode"), fields.get("status")
    if "fromnumber" in fields and not code:
        return Inbound(replies=(_reply(fields),))
    if not fields.get("clientmessageid", "messageid"):
        raise ValueError("messageId and clientMessageId are missing: one of them must identify the message")
    message_id, written = our_id(fields.get("clientmessageid")), code or name
    is_reply = not written and ("replymessageid" in fields or "text" in fields)  # an unreadable one
    if not message_id and not is_reply:
        return Inbound(foreign=1)
    status = _status(code, name)
    text = report_text(written, fields.get("timestamp"), "", fields.get("statusdescription"))
    report = StatusReport(
        message_id,
        printable(fields.get("messageid", "apimessageid")),
        status,
        to=STATUSES.get(status),
        text=text,
        unlisted=status not in STATUSES,
        at=moment.milliseconds(fields.get("timestamp"), UTC),
        estimated=True,
    )
    return Inbound(reports=(report,))


def _status(code: str, name: str) -> str:
    """Return the legacy status, by its number or, in the early format, by its name."""
    if code:
        if not _CODE.fullmatch(code):
            raise ValueError("statusCode is not a status code, such as 4")
        return status_code(code) if code.isdigit() else code
    name = name.strip().upper().replace(" ", "_")
    if re.fullmatch(r"[0-9]{1,3}", name):
        return status_code(name)
    if not _NAME.fullmatch(name):
        raise ValueError("statusCode is missing, and status is not a status name, such as RECEIVED_BY_RECIPIENT")
    return NAMES.get(name, name)


def _reply(fields: Fields) -> InboundReply:
    reply_id, original = printable(fields.get("replymessageid")), printable(fields.get("messageid"))
    if not reply_id and not original:
        raise ValueError("replyMessageId is missing: it identifies the reply")
    part, text = spoken(fields, escaped=True)
    return InboundReply(
        reply_id or original,  # without replyMessageId, messageId is the reply's id
        sender(fields.get("fromnumber"), "fromNumber"),
        printable(fields.get("tonumber")),
        text,
        at=moment.milliseconds(fields.get("timestamp"), UTC),
        network=printable(fields.get("network")),
        related_id=our_id(fields.get("clientmessageid")),
        related_gateway_id=original if reply_id else "",
        part=part,
    )
