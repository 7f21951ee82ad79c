"""HTTP API: form requests, plain-text responses; always HTTP 200, so only the body counts.

Source: Clickatell's HTTP API guide and its 2006 specification; every request carries its own credentials, by POST,
so that none appear in an access log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import redis.asyncio

from threelane.contract.message import Message, gateway_time
from threelane.contract.schedule import MINUTE
from threelane.contract.text import GSM_7, Encoding
from threelane.worker.gateway.api import FormApi
from threelane.worker.gateway.login import EXPIRED
from threelane.worker.gateway.outcome import AttemptOutcome, Cancellation, Coverage, Known, LookUp, OutcomeKind, Payment
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.policy.statuses import STOPPED, millionths, status_code
from threelane.worker.process.settings import AccountSettings

_EXACTLY = re.IGNORECASE | re.ASCII
_ID = re.compile(r"(?:apimsg)?id:[ \t]*([0-9a-z]{16,64})(?:[ \t]+to:[ \t]*\d+)?", _EXACTLY)
_ERR = re.compile(r"err:[ \t]*(?:(\d{1,4})[ \t]*(?:,|$))?[ \t]*(.*?)(?:[ \t]+to:[ \t]*\d+)?", _EXACTLY)
_SESSION = re.compile(r"ok:[ \t]*([0-9a-z]{16,64})", _EXACTLY)
_STATUS = re.compile(r"(?:apimsg)?id:[ \t]*([0-9a-z]{16,64})[ \t]+status:[ \t]*([0-9a-c]{1,3})", _EXACTLY)
_CHARGE = re.compile(r"\bcharge:\s*(\d+(?:\.\d+)?)\b", _EXACTLY)
_COVERED = re.compile(r"(?:ok:.*?)?(?:\bcharge:[ \t]*(\d+(?:\.\d+)?))?", _EXACTLY)
_PAID = re.compile(r"ok:[ \t]*605(?:[ \t]*,.*)?", _EXACTLY)
_CREDIT = re.compile(r"credit:\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)


class HttpGateway(FormApi):
    """The HTTP API: one message a request, concurrent on persistent connections."""

    name = "http"
    ping = "http/ping"
    batch_size = 1

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Send one message."""
        reply = await self._request("http/sendmsg", form(messages[0], now))
        return [reply if isinstance(reply, AttemptOutcome) else read_send(reply.body)]

    async def look_up(self, message_id: str) -> LookUp:
        """Look up the status by our id, then the charge."""
        return await self._known({"climsgid": message_id}, unknown="104")

    async def status(self, gateway_id: str) -> LookUp:
        """Look up the status by the gateway's id, then the charge."""
        return await self._known({"apimsgid": gateway_id}, unknown="103")

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Stop a message that the gateway still holds."""
        reply = await self._request("http/delmsg", {"apimsgid": gateway_id})
        return Cancellation.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_cancel(reply.body)

    async def coverage(self, msisdn: str) -> Coverage:
        """Query whether a number can be reached; not meant for use before each message."""
        reply = await self._request("utils/routeCoverage", {"msisdn": msisdn})
        return Coverage.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_coverage(reply.body)

    async def pay(self, token: str) -> Payment:
        """Redeem a voucher."""
        reply = await self._request("http/token_pay", {"token": token})
        return Payment.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_payment(reply.body)

    async def balance(self) -> float | str:
        """Return the credits left, or why they are unknown."""
        reply = await self._request("http/getbalance", {})
        return reply.in_words() if isinstance(reply, AttemptOutcome) else read_balance(reply.body)

    async def _known(self, named: Mapping[str, str], unknown: str) -> LookUp:
        reply = await self._request("http/querymsg", named)
        if isinstance(reply, AttemptOutcome):
            return LookUp.unanswered(reply)
        return await self._priced(read_look_up(reply.body, unknown))

    async def _charge(self, gateway_id: str) -> int | None:
        reply = await self._request("http/getmsgcharge", {"apimsgid": gateway_id})
        return None if isinstance(reply, AttemptOutcome) else read_charge(reply.body)

    async def _post(self, command: str, elements: Sequence[Mapping[str, str]]) -> HttpReply | AttemptOutcome:
        (parameters,) = elements
        return await self._submit(command, parameters)

    async def _authenticate(self) -> str | AttemptOutcome:
        reply = await self._post("http/auth", [self._login.credentials])
        return reply if isinstance(reply, AttemptOutcome) else read_auth(reply.body)

    def _has_expired(self, reply: HttpReply) -> bool:
        return _code(reply.body) in EXPIRED


def form(message: Message, now: int) -> dict[str, str]:
    """Return the parameters of ``sendmsg``; ``concat`` is the exact number of parts, since it caps the cost."""
    remaining = max(1, (message.expires_at - now) // MINUTE)
    parameters = {
        "to": message.to,
        "climsgid": message.id,
        "concat": str(message.parts),
        "queue": str(message.lane),
        "callback": str(message.callback),
        "validity": str(remaining),
        **_body(message),
    }
    optional = {
        "from": message.sender,
        "deliv_ack": "1" if message.callback else "",
        "escalate": "1" if message.escalate else "",
        "mo": "1" if message.mo else "",
        "max_credits": message.max_credits,
        "req_feat": "" if message.required_features is None else str(message.required_features),
        "msg_type": "SMS_FLASH" if message.flash else "",
        "udh": message.udh,
        "scheduled_time": str(gateway_time(message, now) or ""),
    }
    return parameters | {name: value for name, value in optional.items() if value}


def read_send(body: bytes) -> AttemptOutcome:
    """Read the response to one ``sendmsg``; anything but a clear acceptance or refusal is unreadable."""
    text = _text(body)
    accepted = _ID.fullmatch(text)
    if accepted:
        return AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=accepted[1])
    refused = _ERR.fullmatch(text)
    if refused and len(text.splitlines()) == 1:
        return AttemptOutcome(
            OutcomeKind.REFUSED, code=(refused[1] or "").zfill(3) if refused[1] else "none", text=refused[2]
        )
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=_beginning(text))


def read_auth(body: bytes) -> str | AttemptOutcome:
    """Read the response to ``auth``: the session id, or the refusal."""
    text = _text(body)
    session = _SESSION.fullmatch(text)
    if session:
        return session[1]
    return (
        AttemptOutcome(OutcomeKind.REFUSED, code=_code(body), text=text[:80])
        if _code(body)
        else AttemptOutcome(OutcomeKind.UNREADABLE)
    )


def read_look_up(body: bytes, unknown: str = "104") -> LookUp:
    """Read the response to ``querymsg``; only code 104 (103 for the gateway's id) means not found."""
    text = _text(body)
    status = _STATUS.fullmatch(text)
    if status:
        code = status_code(status[2])
        return LookUp(Known.NO_STATUS if code == "001" else Known.FOUND, status[1], code)
    refused = read_send(body)
    if refused.kind is OutcomeKind.REFUSED and refused.code == unknown:
        return LookUp(Known.NOT_FOUND, text=refused.text)
    return LookUp(Known.FAILED, text=_beginning(text))


def read_charge(body: bytes) -> int | None:
    """Read the charge from the response to ``getmsgcharge``, in millionths of a credit."""
    found = _CHARGE.search(_text(body))
    return millionths(found[1]) if found else None


def read_cancel(body: bytes) -> Cancellation:
    """Read the response to ``delmsg``: a status; any status but 006 means that it was too late."""
    text = _text(body)
    status = _STATUS.fullmatch(text)
    if status:
        code = status_code(status[2])
        return Cancellation(code == STOPPED, code)
    refused = read_send(body)
    if refused.kind is OutcomeKind.REFUSED:
        return Cancellation(False, code=refused.code, text=refused.text)
    return Cancellation(None, text=_beginning(text))


def read_coverage(body: bytes) -> Coverage:
    """Read the response to ``routeCoverage``; the sentence of an old version leaves the coverage unknown."""
    text = _text(body)
    covered = _COVERED.fullmatch(text)
    if covered and text:
        return Coverage(True, millionths(covered[1]) if covered[1] else None)
    refused = read_send(body)
    against = refused.kind is OutcomeKind.REFUSED and LEGACY.stops(refused.code)
    return Coverage(False if against else None, text=_beginning(text))


def read_payment(body: bytes) -> Payment:
    """Read the response to ``token_pay``; success is the number 605."""
    text = _text(body)
    if _PAID.fullmatch(text):
        return Payment(True)
    refused = read_send(body)
    if refused.kind is OutcomeKind.REFUSED:
        return Payment(False, refused.code, refused.text)
    return Payment(None, text=_beginning(text))


def read_balance(body: bytes) -> float | str:
    """Read the credits left, or why they are unknown."""
    text = _text(body)
    found = _CREDIT.fullmatch(text)
    return float(found[1]) if found else text[:100] or "an empty answer"


def _body(message: Message) -> dict[str, str]:
    """Return the text in the one of three encodings that survives the gateway's default of Windows-1252."""
    if message.encoding is Encoding.BINARY:
        return {"data": message.binary, "binary": "1"}
    if message.encoding is Encoding.UCS_2:
        return {"text": message.text.encode("utf-16-be").hex().upper(), "unicode": "1"}
    if message.text.isascii() and GSM_7.issuperset(message.text):
        return {"text": message.text}
    return {"text": message.text, "charset": "UTF-8"}


def _code(body: bytes) -> str:
    """Return the code of a response that is a refusal, or ''."""
    text = _text(body)
    refused = _ERR.fullmatch(text)
    return refused[1].zfill(3) if refused and refused[1] and len(text.splitlines()) == 1 else ""


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="replace").strip(" \t\r\n")


def _beginning(text: str) -> str:
    return re.sub(r"\s+", " ", text)[:80]


def create(settings: AccountSettings, client: redis.asyncio.Redis | None) -> Gateway:
    """Return the gateway; call it on the event loop.  Workers share a session through ``client``."""
    return HttpGateway(settings, client)
