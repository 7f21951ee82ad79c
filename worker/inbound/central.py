"""Central: reads callbacks of the HTTP, REST and XML APIs: statuses and replies, by GET or as form, XML or JSON.

Source: the HTTP API guide and Clickatell's page on callbacks; the JSON keys are not published, so those of the REST
API and of the HTTP API are both accepted.
"""

from __future__ import annotations

import re

from threelane.worker.inbound import moment
from threelane.worker.inbound.fields import Fields
from threelane.worker.inbound.fields import read as read_fields
from threelane.worker.inbound.report import Inbound, InboundReply, StatusReport, our_id, printable, report_text
from threelane.worker.inbound.speech import sender, spoken
from threelane.worker.policy.statuses import STATUSES, millionths, status_code

_STATUS = re.compile(r"[0-9A-Fa-f]{1,3}")
_OURS = ("climsgid", "clientmessageid", "climessageid")
_THEIRS = ("apimsgid", "apimessageid")


def read(query: bytes, body: bytes) -> Inbound:
    """Return the contents of a request, recognized by its fields, so that either address accepts either kind.

    ``query`` is the raw query of the request line.  A request without parameters is a probe and returns nothing.  So
    does a status of a message that is not ours, of another application of the account, which counts as foreign,
    whatever the status is.  Raises ValueError for an unreadable request; its text contains none of the values.
    """
    fields = read_fields(query, body)
    if not fields:
        return Inbound()
    status = fields.get("messagestatus", "status")
    if not status and "text" in fields and fields.get("momsgid"):
        return Inbound(replies=(_reply(fields),))
    if not fields.get(*_OURS, *_THEIRS):
        raise ValueError("cliMsgId and apiMsgId are missing: one of them must identify the message")
    is_reply = not status and fields.get("momsgid")  # an unreadable one
    if not our_id(fields.get(*_OURS)) and not is_reply:
        return Inbound(foreign=1)
    return Inbound(reports=(_report(fields, status),))


def _report(fields: Fields, status: str) -> StatusReport:
    if not _STATUS.fullmatch(status):
        raise ValueError("status is missing or not a status code, such as 004")
    charge = fields.get("charge")
    amount = millionths(charge) if charge else None
    if charge and amount is None:
        raise ValueError("charge is not an amount, such as 0.800000")
    code = status_code(status)
    return StatusReport(
        our_id(fields.get(*_OURS)),
        printable(fields.get(*_THEIRS)),
        code,
        to=STATUSES.get(code),
        charge_millionths=amount,
        text=report_text(status, fields.get("timestamp"), charge, fields.get("statusdescription", "description")),
        unlisted=code not in STATUSES,
        at=moment.milliseconds(fields.get("timestamp"), moment.CENTRAL),
    )


def _reply(fields: Fields) -> InboundReply:
    part, text = spoken(fields, escaped=False)
    return InboundReply(
        printable(fields.get("momsgid")),
        sender(fields.get("from"), "from"),
        printable(fields.get("to")),
        text,
        at=moment.milliseconds(fields.get("timestamp"), moment.CENTRAL),
        network=printable(fields.get("network")),
        related_id=our_id(fields.get(*_OURS)),
        related_gateway_id=printable(fields.get(*_THEIRS)),
        part=part,
    )
