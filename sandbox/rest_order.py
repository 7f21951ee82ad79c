"""Parses the fields of Central REST's `POST /rest/message` into an order or a refusal."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Final

from threelane.sandbox import central_order
from threelane.sandbox.apis import ApiName
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.order import Order
from threelane.sandbox.settings import SandboxSettings

# The HTTP API's name of each field; the rules for its value are the same.
# fmt: off
_STRINGS: Final = {
    "text":            "text",
    "from":            "from",
    "clientMessageId": "climsgid",
    "type":            "msg_type",
    "udh":             "udh",
}
_NUMBERS: Final = {
    "maxMessageParts":   "concat",
    "userPriorityQueue": "queue",
    "callback":          "callback",
    "escalate":          "escalate",
    "maxCredits":        "max_credits",
    "mo":                "mo",
    "requiredFeatures":  "req_feat",
    "validityPeriod":    "validity",
    "unicode":           "unicode",
    "binary":            "binary",
}
# fmt: on
_SCHEDULE: Final = "scheduledDeliveryTime"
_BYPASS: Final = "bypassDNCCheck"
_ISO_IN_GMT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_MOST_DIGITS: Final = 12


def read(content: dict[str, object], settings: SandboxSettings, now: float) -> Order | GatewayRefusal:
    """Returns the order of a request; a `null` field counts as absent."""
    fields = {name: value for name, value in content.items() if value is not None}
    parameters: dict[str, str] = {}
    for name, value in fields.items():
        if name in _STRINGS:
            if not isinstance(value, str):
                return refusal("101")
            parameters[_STRINGS[name]] = value
        elif name in _NUMBERS or name == _BYPASS:
            digits = _digits(value)
            if digits is None or (name == _BYPASS and digits not in ("0", "1")):
                return refusal("101")
            if name != _BYPASS:
                parameters[_NUMBERS[name]] = digits
    if _SCHEDULE in fields:
        due_at = _moment(fields[_SCHEDULE])
        if due_at is None or not central_order.is_possible(due_at, now):
            return refusal("101")  # the HTTP API returns 120
        parameters["scheduled_time"] = str(int(due_at))
    order = central_order.read(ApiName.REST, parameters, settings, now, sent=fields)
    if isinstance(order, GatewayRefusal) or _digits(fields.get(_BYPASS, 0)) != "1":
        return order
    return replace(order, bypasses_dnc=True)


def _digits(value: object) -> str | None:
    """Returns a number in the HTTP API's notation; a string is returned unchanged."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 10**_MOST_DIGITS:
        return None
    return str(value)


def _moment(value: object) -> float | None:
    if not isinstance(value, str) or not _ISO_IN_GMT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
