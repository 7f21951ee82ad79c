"""Reads the parameters of the HTTP API's `sendmsg` into an order, or into the code that refuses them."""

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from sandbox import text
from sandbox.codes import Refusal, refusal
from sandbox.order import Order
from sandbox.text import Encoding

_CLIENT_ID_LENGTH: Final = 32
_LATEST_MINUTES: Final = 7 * 24 * 60
_GRACE_SECONDS: Final = 300.0  # a schedule this little in the past is the gateway's own accuracy: it goes at once

_SENDER: Final = re.compile(r"[0-9]{1,16}|[A-Za-z0-9 ]{1,11}")
_CREDENTIALS: Final = ("api_id", "user", "password", "session_id")

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
    "validity":  (1, _LATEST_MINUTES),
    "req_feat":  (0, 65535),
    "mclass":    (0, 3),
}
_MESSAGE_TYPES: Final = frozenset({
    "SMS_TEXT", "SMS_FLASH", "SMS_NOKIA_OLOGO", "SMS_NOKIA_GLOGO", "SMS_NOKIA_PICTURE", "SMS_NOKIA_RINGTONE",
    "SMS_NOKIA_RTTL", "SMS_NOKIA_RTTTL", "SMS_NOKIA_CLEAN", "SMS_NOKIA_VCARD", "SMS_NOKIA_VCAL",
})
# fmt: on

_LOWEST_QUEUE: Final = 3


def read(parameters: dict[str, str], now: float, default_concat: int, senders: tuple[str, ...]) -> Order | Refusal:
    """Returns the order these parameters make; charges and recipients are not looked at."""
    whole: dict[str, int] = {}
    for name, value in parameters.items():
        bounds = _RANGES.get(name)
        if bounds is not None:
            number = int(value) if value.isascii() and value.isdecimal() else -1
            if not bounds[0] <= number <= bounds[1]:
                return refusal("101")
            whole[name] = number
    fault = _form_fault(parameters, senders)
    if fault:
        return refusal(fault)
    due_at = _due_at(parameters, now)
    if isinstance(due_at, Refusal):
        return due_at
    max_credits = _amount(parameters["max_credits"]) if "max_credits" in parameters else None
    if max_credits is not None and not max_credits.is_finite():
        return refusal("101")
    body = _body(parameters, whole)
    if isinstance(body, Refusal):
        return body
    shown, encoding, parts = body
    if encoding is not Encoding.OCTETS and parts > whole.get("concat", default_concat):
        return refusal("113")  # 8-bit data is split whatever concat says
    return Order(
        client_id=parameters.get("climsgid", ""),
        sender=parameters.get("from", ""),
        text=shown,
        encoding=encoding,
        parts=parts,
        queue=whole.get("queue", _LOWEST_QUEUE),
        callback=whole.get("callback", 0),
        due_at=due_at,
        max_credits=max_credits,
        options={name: value for name, value in parameters.items() if name not in _CREDENTIALS},
    )


def _form_fault(parameters: dict[str, str], senders: tuple[str, ...]) -> str | None:
    """Returns the code of the first parameter whose form is wrong."""
    client_id = parameters.get("climsgid", "")
    if len(client_id) > _CLIENT_ID_LENGTH or " " in client_id:
        return "120"
    sender = parameters.get("from", "")
    if sender and not _SENDER.fullmatch(sender):
        return "106"
    if sender and senders and sender not in senders:
        return "123"
    if parameters.get("msg_type", "SMS_TEXT") not in _MESSAGE_TYPES:
        return "112"
    if parameters.get("udh") and _header_octets(parameters["udh"]) is None:
        return "102"
    return None


def _due_at(parameters: dict[str, str], now: float) -> float | Refusal | None:
    """Returns when to send, None for at once."""
    minutes, moment = parameters.get("deliv_time", ""), parameters.get("scheduled_time", "")
    if not minutes and not moment:
        return None
    if not (minutes or moment).isdecimal() or not (minutes or moment).isascii():
        return refusal("120")
    due_at = now + int(minutes) * 60.0 if minutes else float(int(moment))
    if not now - _GRACE_SECONDS <= due_at <= now + _LATEST_MINUTES * 60.0:
        return refusal("120")
    return due_at


def _body(parameters: dict[str, str], whole: dict[str, int]) -> tuple[str, Encoding, int] | Refusal:
    """Returns the text as a handset shows it, its encoding and its parts."""
    sent, header_octets = parameters.get("text", ""), _header_octets(parameters.get("udh", "")) or 0
    if data := parameters.get("data", ""):
        octets = text.from_hex(data)
        if octets is None:
            return refusal("101")
        return data, Encoding.OCTETS, text.octet_parts(len(octets), header_octets)
    if not sent:
        return refusal("107")
    if whole.get("binary"):
        octets = text.from_hex(sent)
        count = len(sent) if octets is None else len(octets)
        return sent, Encoding.OCTETS, text.octet_parts(count, header_octets)
    if whole.get("unicode"):
        decoded = text.from_ucs2_hex(sent)
        if decoded is None:
            return refusal("116")
        return decoded, Encoding.UCS2, text.ucs2_parts(decoded, header_octets)
    shown = text.deliverable(sent)
    return shown, Encoding.GSM7, text.gsm_parts(shown, header_octets)


def _header_octets(digits: str) -> int | None:
    """Returns the octets of a user data header, or None when its own length does not agree."""
    octets = text.from_hex(digits)
    if not octets or octets[0] != len(octets) - 1 or len(octets) > text.PART_OCTETS // 2:
        return None
    return len(octets)


@lru_cache(maxsize=256)
def _amount(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return Decimal("NaN")
