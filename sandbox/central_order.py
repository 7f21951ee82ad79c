"""Parses the parameters shared by the HTTP, REST and XML APIs into an order or a refusal."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from threelane.sandbox import text
from threelane.sandbox.apis import CREDENTIALS, ApiName
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.order import Order
from threelane.sandbox.settings import SandboxSettings
from threelane.sandbox.text import TextEncoding

_CLIENT_ID: Final = re.compile(r"[!-~]{0,32}")  # HTTP API Specification 2.2.7, 8.2.12; error 120 names spaces only
_CREDIT_STEPS: Final = frozenset(map(Decimal, ("0.8", "1", "1.5", "2", "2.5", "3")))  # REST features; 2006: any amount
LATEST_MINUTES: Final = 7 * 24 * 60
_GRACE_SECONDS: Final = 300.0  # the gateway's accuracy: a time this recently past is sent at once

_SENDER: Final = re.compile(r"[0-9]{1,16}|[A-Za-z0-9 ]{1,11}")
_LONGEST_NUMBER: Final = 12  # digits
_LONGEST_HEADER: Final = 130  # octets of the 140; a joined part then has room for two code units (3GPP TS 23.040)

# fmt: off
_RANGES: Final[dict[str, tuple[int, int]]] = {
    "queue":     (1, 3),
    "callback":  (0, 7),
    "concat":    (1, 3),
    "mo":        (0, 1),
    "escalate":  (0, 1),
    "unicode":   (0, 1),
    "binary":    (0, 1),
    "deliv_ack": (0, 1),
    "req_feat":  (0, 65535),
    "mclass":    (0, 3),
}
_OLD_TYPES: Final = frozenset({
    "SMS_NOKIA_OLOGO", "SMS_NOKIA_GLOGO", "SMS_NOKIA_PICTURE", "SMS_NOKIA_RINGTONE",
    "SMS_NOKIA_RTTL", "SMS_NOKIA_RTTTL", "SMS_NOKIA_CLEAN", "SMS_NOKIA_VCARD", "SMS_NOKIA_VCAL",
})
# fmt: on
_MESSAGE_TYPES: Final = _OLD_TYPES | {"SMS_TEXT", "SMS_FLASH"}
_PORTS_OCTETS: Final = 7  # of the header that the gateway adds for an old type: 06 05 04 and two ports

_LOWEST_QUEUE: Final = 3


def read(
    api: ApiName,
    parameters: Mapping[str, str],
    settings: SandboxSettings,
    now: float,
    sent: Mapping[str, object] | None = None,
) -> Order | GatewayRefusal:
    """Returns the order of these parameters; does not check prices and recipients.

    The parameters have the names of the HTTP API; the ledger stores `sent` instead of them.
    """
    whole: dict[str, int] = {}
    for name, value in parameters.items():
        bounds = _RANGES.get(name)
        if bounds is not None:
            number = int(value) if _is_whole(value) else -1
            if not bounds[0] <= number <= bounds[1]:
                return refusal("101")
            whole[name] = number
    validity = parameters.get("validity", "1")
    if not _is_whole(validity) or not is_valid_for(int(validity), settings):
        return refusal("101")
    fault = _form_fault(parameters, settings.senders)
    if fault:
        return refusal(fault)
    due_at = _due_at(parameters, now)
    if isinstance(due_at, GatewayRefusal):
        return due_at
    max_credits = _amount(parameters["max_credits"]) if "max_credits" in parameters else None
    if max_credits is not None and not (max_credits.is_finite() and max_credits in _CREDIT_STEPS):
        return refusal("101")
    body = _body(parameters, whole)
    if isinstance(body, GatewayRefusal):
        return body
    shown, encoding, parts = body
    if fault := name_fault(parameters.get("from", ""), encoding):
        return refusal(fault)
    if encoding is not TextEncoding.OCTETS and parts > whole.get("concat", settings.default_concat):
        return refusal("113")  # 8-bit data is split regardless of concat
    return Order(
        api=api,
        client_id=parameters.get("climsgid", ""),
        sender=parameters.get("from", ""),
        text=shown,
        encoding=encoding,
        parts=parts,
        queue=whole.get("queue", _LOWEST_QUEUE),
        callback=whole.get("callback", 0),
        due_at=due_at,
        max_credits=max_credits,
        options=sent or {name: value for name, value in parameters.items() if name not in CREDENTIALS},
    )


def _form_fault(parameters: Mapping[str, str], senders: tuple[str, ...]) -> str | None:
    """Returns the code of the first malformed parameter."""
    if not _CLIENT_ID.fullmatch(parameters.get("climsgid", "")):
        return "120"
    if fault := sender_fault(parameters.get("from", ""), senders):
        return fault
    if parameters.get("msg_type", "SMS_TEXT") not in _MESSAGE_TYPES:
        return "112"
    if parameters.get("udh") and header_octets(parameters["udh"]) is None:
        return "102"
    return None


def sender_fault(sender: str, senders: tuple[str, ...]) -> str | None:
    """Returns the error code of a sender id, or None when it is valid or empty."""
    if sender and not _SENDER.fullmatch(sender):
        return "106"
    if sender and senders and sender not in senders:
        return "123"
    return None


def is_valid_for(minutes: int, settings: SandboxSettings) -> bool:
    """Returns whether a message may be valid for that long."""
    return 1 <= minutes <= settings.most_validity_minutes


def name_fault(sender: str, encoding: TextEncoding) -> str | None:
    """Returns the error code of a name as the sender of 8-bit data, or None for any other sender."""
    return "106" if encoding is TextEncoding.OCTETS and sender and not sender.isdecimal() else None


def is_possible(due_at: float, now: float) -> bool:
    """Returns whether a message may be scheduled for that time."""
    return now - _GRACE_SECONDS <= due_at <= now + LATEST_MINUTES * 60.0


def _is_whole(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= _LONGEST_NUMBER


def _due_at(parameters: Mapping[str, str], now: float) -> float | GatewayRefusal | None:
    """Returns the time to send at; None sends at once."""
    minutes, moment = parameters.get("deliv_time", ""), parameters.get("scheduled_time", "")
    if not minutes and not moment:
        return None
    if not _is_whole(minutes or moment):
        return refusal("120")
    due_at = now + int(minutes) * 60.0 if minutes else float(int(moment))
    return due_at if is_possible(due_at, now) else refusal("120")


def _body(parameters: Mapping[str, str], whole: dict[str, int]) -> tuple[str, TextEncoding, int] | GatewayRefusal:
    """Returns the text as a handset shows it, its encoding and its parts."""
    sent, header = parameters.get("text", ""), header_octets(parameters.get("udh", "")) or 0
    if data := parameters.get("data", ""):
        octets = text.from_hex(data)
        if octets is None:
            return refusal("101")
        if parameters.get("msg_type", "SMS_TEXT") in _OLD_TYPES:
            header = header or _PORTS_OCTETS
        return data, TextEncoding.OCTETS, text.octet_parts(len(octets), header)
    if not sent:
        return refusal("107")
    if whole.get("binary"):
        octets = text.from_hex(sent)
        count = len(sent) if octets is None else len(octets)
        return sent, TextEncoding.OCTETS, text.octet_parts(count, header)
    if whole.get("unicode"):
        decoded = text.from_ucs2_hex(sent)
        if decoded is None:
            return refusal("116")
        return decoded, TextEncoding.UCS2, text.ucs2_parts(decoded, header)
    shown = text.deliverable(sent)
    return shown, TextEncoding.GSM7, text.gsm_parts(shown, header)


def header_octets(digits: str) -> int | None:
    """Returns the length of a user data header in octets, or None when its length octet is wrong."""
    octets = text.from_hex(digits)
    if not octets or octets[0] != len(octets) - 1 or len(octets) > _LONGEST_HEADER:
        return None
    return len(octets)


@lru_cache(maxsize=256)
def _amount(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return Decimal("NaN")
