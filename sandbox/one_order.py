"""Parses a message of the One API, or a request of Platform REST, into an order or a refusal."""

import re
from datetime import datetime
from typing import Final

from threelane.sandbox import central_order, text
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.one_codes import TOO_BIG
from threelane.sandbox.order import Order
from threelane.sandbox.settings import SandboxSettings
from threelane.sandbox.text import TextEncoding

CHANNELS: Final = ("sms", "whatsapp")
_SMS: Final = "sms"
_CODES: Final = {"userDataHeader": "102", "scheduledDeliveryTime": "120"}
_SMS_ONLY: Final = ("from", "binary", "userDataHeader")
_STRINGS: Final = ("content", "from", "clientMessageId", "scheduledDeliveryTime", "userDataHeader")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{4}")
_MOST_PARTS: Final = 35  # the most parts that can be joined, whatever an integration allows
_MOST_WHATSAPP_CHARACTERS: Final = 4096
_MOST_CHARACTERS: Final = 16_384  # more than 35 parts of anything
_LOWEST_QUEUE: Final = 3


def read(api: str, entry: dict[str, object], settings: SandboxSettings, now: float) -> Order | GatewayRefusal:
    """Returns the order of a message; a `null` field counts as absent."""
    fields = {name: value for name, value in entry.items() if value is not None}
    channel = fields.get("channel", _SMS)
    wrong = _wrong_field(fields, channel, settings)
    if wrong:
        return _missing(wrong)
    sender, header = str(fields.get("from", "")), str(fields.get("userDataHeader", ""))
    if fault := central_order.sender_fault(sender, settings.senders):
        return refusal(fault)
    due_at = _moment(fields.get("scheduledDeliveryTime"))
    if "scheduledDeliveryTime" in fields and (due_at is None or not central_order.is_possible(due_at, now)):
        return _missing("scheduledDeliveryTime")
    body = _body(str(fields["content"]), channel == _SMS, fields.get("binary") is True, header)
    if isinstance(body, GatewayRefusal):
        return body
    encoding, parts = body
    if fault := central_order.name_fault(sender, encoding):
        return refusal(fault)
    return Order(
        api=api,
        client_id=str(fields.get("clientMessageId", "")),
        sender=sender,
        text=str(fields["content"]),
        encoding=encoding,
        parts=parts,
        queue=_LOWEST_QUEUE,
        callback=0,
        due_at=due_at,
        max_credits=None,
        options=fields,
        channel=str(channel),
    )


def _wrong_field(fields: dict[str, object], channel: object, settings: SandboxSettings) -> str | None:
    """Returns the first field that is missing or invalid."""
    if channel not in CHANNELS:
        return "channel"
    if not fields.get("to") or not isinstance(fields["to"], (str, list)):  # Platform REST takes an array
        return "to"
    for name in _STRINGS:
        if name in fields and not isinstance(fields[name], str):
            return name
    if not fields.get("content"):
        return "content"
    if channel != _SMS:
        for name in _SMS_ONLY:
            if name in fields:
                return name
    if not isinstance(fields.get("binary", False), bool):
        return "binary"
    if fields.get("userDataHeader") and central_order.header_octets(str(fields["userDataHeader"])) is None:
        return "userDataHeader"
    validity = fields.get("validityPeriod", 1)
    if isinstance(validity, bool) or not isinstance(validity, int):
        return "validityPeriod"
    return None if central_order.is_valid_for(validity, settings) else "validityPeriod"


def _missing(name: str) -> GatewayRefusal:
    """Returns the refusal of a field: Platform REST has the legacy codes, the One API one code for all of them."""
    return GatewayRefusal(_CODES.get(name, "101"), f"Invalid or missing parameter: {name}")


def _moment(value: object) -> float | None:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _body(content: str, is_sms: bool, is_binary: bool, udh: str) -> tuple[TextEncoding, int] | GatewayRefusal:
    """Returns the encoding, chosen by the content, and the number of parts; always one on another channel."""
    is_gsm = text.deliverable(content) == content
    if not is_sms:
        if len(content) > _MOST_WHATSAPP_CHARACTERS:
            return TOO_BIG
        return (TextEncoding.GSM7 if is_gsm else TextEncoding.UCS2), 1
    if len(content) > _MOST_CHARACTERS:
        return refusal("113")
    header = central_order.header_octets(udh) or 0
    if is_binary:
        octets = text.from_hex(content)
        if octets is None:
            return _missing("content")
        encoding, parts = TextEncoding.OCTETS, text.octet_parts(len(octets), header)
    elif is_gsm:
        encoding, parts = TextEncoding.GSM7, text.gsm_parts(content, header)
    else:
        encoding, parts = TextEncoding.UCS2, text.ucs2_parts(content, header)
    return (encoding, parts) if parts <= _MOST_PARTS else refusal("113")
