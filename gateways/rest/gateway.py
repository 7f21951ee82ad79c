"""Central REST API: JSON, one message a request; a message's entry counts, whatever the HTTP status.

Source: Clickatell's Central REST guide and its table of features.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import redis.asyncio

from threelane.contract.message import Message, gateway_time
from threelane.contract.schedule import GATEWAY_VALIDITY_MINUTES, minutes_left
from threelane.contract.text import Encoding
from threelane.worker.gateway import entries, foreign
from threelane.worker.gateway.api import JsonApi
from threelane.worker.gateway.entries import Family, decode, entry_error
from threelane.worker.gateway.outcome import AttemptOutcome, Cancellation, Coverage, Known, LookUp, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.policy.statuses import STOPPED, status_code
from threelane.worker.process.settings import AccountSettings

_STATUS = re.compile(r"[0-9A-Ca-c]{1,3}")
FAMILY = Family(LEGACY, digits=3, by_status=MappingProxyType({402: "301", 410: "114"}))


class RestGateway(JsonApi):
    """Central REST: one recipient a request, so that a look-up by our id means one message."""

    name = "rest"
    root = "rest"
    batch_size = 1
    can_look_up = True

    def __init__(self, settings: AccountSettings) -> None:
        """Open the connections; call it on the event loop."""
        token = settings.clickatell_token.get_secret_value()
        super().__init__(settings, {"Authorization": f"Bearer {token}", "X-Version": "1"})

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Send one message."""
        message = messages[0]
        reply = await self._request("POST", "message", msgspec.json.encode(order(message, now, self._most_minutes)))
        if isinstance(reply, AttemptOutcome):
            return [reply]
        return self._wire.trusting([read_send(reply, message.to, message.id)])

    async def look_up(self, message_id: str) -> LookUp:
        """Look up by our id; the charge comes with the status."""
        reply = await self._request("GET", f"message?{urlencode({'clientMessageId': message_id})}")
        return (
            LookUp.unanswered(reply)
            if isinstance(reply, AttemptOutcome)
            else read_look_up(reply, "104", message_id=message_id)
        )

    async def status(self, gateway_id: str) -> LookUp:
        """Look up by the gateway's id."""
        reply = await self._request("GET", f"message/{quote(gateway_id, safe='')}")
        return (
            LookUp.unanswered(reply)
            if isinstance(reply, AttemptOutcome)
            else read_look_up(reply, "103", gateway_id=gateway_id)
        )

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Stop a message that is scheduled, or queued at the gateway."""
        reply = await self._request("DELETE", f"message/{quote(gateway_id, safe='')}")
        return Cancellation.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_cancel(reply, gateway_id)

    async def coverage(self, msisdn: str) -> Coverage:
        """Query whether a number can be reached."""
        reply = await self._request("GET", f"coverage/{quote(msisdn, safe='')}")
        return Coverage.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_coverage(reply)

    async def balance(self) -> float | str:
        """Return the credits left, or why they are unknown."""
        reply = await self._request("GET", "account/balance")
        return reply.in_words() if isinstance(reply, AttemptOutcome) else read_balance(reply)


def order(message: Message, now: int, most_minutes: int = GATEWAY_VALIDITY_MINUTES) -> dict[str, Any]:
    """Return the body of ``POST /rest/message``; ``maxMessageParts`` is the exact number, since it caps the cost."""
    fields: dict[str, Any] = {
        "to": [message.to],
        "text": message.text,
        "clientMessageId": message.id,
        "maxMessageParts": message.parts,
        "userPriorityQueue": message.lane,
        "callback": message.callback,
        "validityPeriod": minutes_left(message.expires_at, now, most_minutes),
    }
    if message.encoding is Encoding.BINARY:
        fields |= {"text": message.binary, "binary": 1}
    elif message.encoding is Encoding.UCS_2:
        fields |= {"text": message.text.encode("utf-16-be").hex().upper(), "unicode": 1}
    optional = {
        "from": message.sender,
        "escalate": int(message.escalate),
        "mo": int(message.mo),
        "maxCredits": _number(message.max_credits or "0"),
        "type": "SMS_FLASH" if message.flash else "",
        "udh": message.udh,
        "bypassDNCCheck": int(message.bypass_dnc),
        "scheduledDeliveryTime": _in_gmt(gateway_time(message, now)),
    }
    fields |= {name: value for name, value in optional.items() if value}
    return fields if message.required_features is None else fields | {"requiredFeatures": message.required_features}


def _in_gmt(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def read_send(reply: HttpReply, to: str, message_id: str = "") -> AttemptOutcome:
    """Read the response to one message: its entry, the error of the whole request, or the HTTP status."""
    answer = decode(reply.body) or {}
    failed = entry_error(answer, FAMILY)
    found = _at(answer, "data", "message")
    if found and failed:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {reply.status} an entry and an error")
    if failed:
        return entries.refused(failed, reply, FAMILY)
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], dict):
        return entries.read_entry(found[0], to, reply, FAMILY, message_id)
    return foreign.unreadable(reply) if found else foreign.outcome(reply)


def read_look_up(reply: HttpReply, unknown: str, *, message_id: str = "", gateway_id: str = "") -> LookUp:
    """Read the response to a look-up by our id or by the gateway's; only the code ``unknown`` means not found."""
    answer = decode(reply.body) or {}
    failed = entry_error(answer, FAMILY)
    if failed:
        known = Known.NOT_FOUND if failed.code == unknown and reply.status < 500 else Known.FAILED
        return LookUp(known if _at(answer, "data") is None else Known.FAILED, text=failed.text)
    data = _at(answer, "data")
    found, code = _at(data, "apiMessageId"), _status(data)
    if not entries.is_yes(reply.status) or not entries.is_id(found) or not code:
        return LookUp(Known.FAILED, text=foreign.beginning(reply))
    if _is_of_another(data, gateway_id) or entries.names_another(data, "clientMessageId", message_id):
        return LookUp(Known.FAILED, text="the response names another message")
    known = Known.NO_STATUS if code == "001" else Known.FOUND
    return LookUp(known, found, code, entries.amount(_at(data, "charge")))


def read_cancel(reply: HttpReply, gateway_id: str = "") -> Cancellation:
    """Read the response to a cancel: a status; any status but 006 means that it was too late."""
    answer = decode(reply.body) or {}
    failed, data = entry_error(answer, FAMILY), _at(answer, "data")
    code = "" if _is_of_another(data, gateway_id) else _status(data)
    if code and not failed and entries.is_yes(reply.status):
        return Cancellation(code == STOPPED, code)
    outcome = entries.refused(failed, reply, FAMILY) if failed else foreign.outcome(reply)
    if outcome.kind is OutcomeKind.REFUSED:
        return Cancellation(False, code=outcome.code, text=outcome.text)
    return Cancellation(None, text=outcome.text)


def read_coverage(reply: HttpReply) -> Coverage:
    """Read whether a number can be reached; unknown after an error of the account or a temporary one."""
    answer = decode(reply.body) or {}
    failed, data = entry_error(answer, FAMILY), _at(answer, "data")
    routable = _at(data, "routable")
    if isinstance(routable, bool) and not failed and entries.is_yes(reply.status):
        return Coverage(routable, entries.amount(_at(data, "minimumCharge")))
    outcome = entries.refused(failed, reply, FAMILY) if failed else foreign.outcome(reply)
    if outcome.kind is OutcomeKind.REFUSED:
        return Coverage.refused(outcome, of_number=LEGACY.is_of_number(outcome.code))
    return Coverage(None, text=foreign.beginning(reply))


def read_balance(reply: HttpReply) -> float | str:
    """Read the credits left, or why they are unknown."""
    answer = decode(reply.body) or {}
    failed, left = entry_error(answer, FAMILY), entries.balance(_at(answer, "data", "balance"))
    if left is not None and not failed and entries.is_yes(reply.status):
        return left
    return f"{failed.code} {failed.text}".strip() if failed else foreign.beginning(reply)


def _number(step: str) -> float:
    """Return a step of the cost limit as the API lists it: 0.8, 1, 1.5."""
    return float(step) if "." in step else int(step)


def _is_of_another(data: Any, gateway_id: str) -> bool:
    return isinstance(data, dict) and entries.names_another(data, "apiMessageId", gateway_id)


def _status(data: Any) -> str:
    raw = _at(data, "messageStatus")
    text = str(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else ""
    return status_code(text) if _STATUS.fullmatch(text) else ""


def _at(found: Any, *names: str) -> Any:
    """Return the value at a path of names, or None."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def create(settings: AccountSettings, client: redis.asyncio.Redis | None) -> Gateway:  # noqa: ARG001 - it has no session to share
    """Return the gateway; call it on the event loop.  Workers share a session through ``client``."""
    return RestGateway(settings)
