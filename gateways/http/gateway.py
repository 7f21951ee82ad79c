"""HTTP API: form requests, plain-text responses; always HTTP 200, so no other status can carry a success.

A line of text has no end of its own, so each form is read exactly: an id has 32 hexadecimal digits, and an error has
three digits and a comma.  A response that names the recipient or an id of another message is unreadable.

Source: Clickatell's HTTP API guide and its 2006 specification; every request carries its own credentials, by POST,
so that none appear in an access log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import redis.asyncio

from threelane.contract.charset import ALPHABETS, CP_1252, Charset
from threelane.contract.message import Message, gateway_time
from threelane.contract.schedule import GATEWAY_VALIDITY_MINUTES, minutes_left
from threelane.contract.text import Encoding, measure
from threelane.worker.gateway import foreign
from threelane.worker.gateway.api import FormApi
from threelane.worker.gateway.form import encode as encoded
from threelane.worker.gateway.login import EXPIRED
from threelane.worker.gateway.outcome import AttemptOutcome, Cancellation, Coverage, Known, LookUp, OutcomeKind, Payment
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.reach import CUT_BALANCE
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.policy.statuses import STOPPED, millionths, status_code
from threelane.worker.process.settings import AccountSettings

_EXACTLY = re.IGNORECASE | re.ASCII
ID = "[0-9a-f]{32}"
_ID = re.compile(rf"(?:apimsg)?id:[ \t]*({ID})(?:[ \t]+to:[ \t]*(\d+))?", _EXACTLY)
_ERR = re.compile(r"err:[ \t]?(\d{3}),[ \t]*(.*?)(?:[ \t]+to:[ \t]*(\d+))?", _EXACTLY)
_SESSION = re.compile(rf"ok:[ \t]*({ID})", _EXACTLY)
_NAMED = rf"(?:apimsg)?id:[ \t]*({ID})[ \t]+(?:climsgid:[ \t]*([0-9a-z]{{1,32}})[ \t]+)?"
_AMOUNT = r"charge:[ \t]*(\d+(?:\.\d+)?)"
_STATUS = re.compile(rf"{_NAMED}status:[ \t]*(\d\d[0-9a-c])", _EXACTLY)
_CHARGE = re.compile(rf"(?:{_NAMED})?(?:status:[ \t]*\w+[ \t]+{_AMOUNT}|{_AMOUNT}[ \t]+status:[ \t]*\w+)", _EXACTLY)
_COVERED = re.compile(rf"(?:ok:.*?)?(?:\b{_AMOUNT})?", _EXACTLY)
_PAID = re.compile(r"ok:[ \t]*605(?:[ \t]*,.*)?", _EXACTLY)
_CREDIT = re.compile(r"credit:\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)

_REMEMBERED = 1000  # ids of accepted messages
REPEATED = AttemptOutcome(OutcomeKind.UNREADABLE, text="the id of another message")


class HttpGateway(FormApi):
    """The HTTP API: one message a request, concurrent on persistent connections."""

    name = "http"
    ping = "http/ping"
    can_cancel_by_our_id = True
    batch_size = 1

    def __init__(self, settings: AccountSettings, client: redis.asyncio.Redis | None = None) -> None:
        """Open the connections; call it on the event loop.  Workers share a session through ``client``."""
        super().__init__(settings, client)
        self._charset = settings.gateway_charset
        self._recent_ids: dict[str, None] = {}

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Send one message."""
        reply = await self._request("http/sendmsg", form(messages[0], now, self._most_minutes, self._charset))
        if isinstance(reply, AttemptOutcome):
            return [reply]
        outcome = read_send(reply, messages[0].to)
        is_repeated = outcome.gateway_id and self._is_repeated(outcome.gateway_id)
        return self._wire.trusting([REPEATED if is_repeated else outcome])

    async def look_up(self, message_id: str) -> LookUp:
        """Look up the status by our id, then the charge."""
        reply = await self._request("http/querymsg", {"climsgid": message_id})
        if isinstance(reply, AttemptOutcome):
            return LookUp.unanswered(reply)
        return await self._priced(read_look_up(reply, "104", message_id=message_id))

    async def status(self, gateway_id: str) -> LookUp:
        """Look up the status by the gateway's id, then the charge."""
        reply = await self._request("http/querymsg", {"apimsgid": gateway_id})
        if isinstance(reply, AttemptOutcome):
            return LookUp.unanswered(reply)
        return await self._priced(read_look_up(reply, "103", gateway_id=gateway_id))

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Stop a message that the gateway still holds."""
        reply = await self._request("http/delmsg", {"apimsgid": gateway_id})
        return Cancellation.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_cancel(reply, gateway_id)

    async def cancel_by_our_id(self, message_id: str) -> Cancellation:
        """Stop a message that the gateway may hold, by our id."""
        reply = await self._request("http/delmsg", {"climsgid": message_id})
        if isinstance(reply, AttemptOutcome):
            return Cancellation.unanswered(reply)
        return read_cancel(reply, message_id=message_id)

    async def coverage(self, msisdn: str) -> Coverage:
        """Query whether a number can be reached; not meant for use before each message."""
        reply = await self._request("utils/routeCoverage", {"msisdn": msisdn})
        return Coverage.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_coverage(reply)

    async def pay(self, token: str) -> Payment:
        """Redeem a voucher."""
        reply = await self._request("http/token_pay", {"token": token})
        return Payment.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_payment(reply)

    async def balance(self) -> float | str:
        """Return the credits left, or why they are unknown."""
        reply = await self._request("http/getbalance", {})
        return reply.in_words() if isinstance(reply, AttemptOutcome) else read_balance(reply)

    def _is_repeated(self, gateway_id: str) -> bool:
        """Return whether another message was just accepted with this id; a response names nothing else of its request.

        So a copy of an old response that arrives behind a new request is not read as the response to that.
        """
        if gateway_id in self._recent_ids:
            return True
        self._recent_ids[gateway_id] = None
        if len(self._recent_ids) > _REMEMBERED:
            del self._recent_ids[next(iter(self._recent_ids))]
        return False

    async def _charge(self, gateway_id: str) -> int | None:
        reply = await self._request("http/getmsgcharge", {"apimsgid": gateway_id})
        return None if isinstance(reply, AttemptOutcome) else read_charge(reply, gateway_id)

    async def _post(self, command: str, elements: Sequence[Mapping[str, str]]) -> HttpReply | AttemptOutcome:
        (parameters,) = elements
        return await self._submit(command, encode(parameters))

    async def _authenticate(self) -> str | AttemptOutcome:
        reply = await self._post("http/auth", [self._login.credentials])
        return reply if isinstance(reply, AttemptOutcome) else read_auth(reply)

    def _has_expired(self, reply: HttpReply) -> bool:
        refused = _refusal(reply)
        return refused is not None and refused.code in EXPIRED


def form(
    message: Message, now: int, most_minutes: int = GATEWAY_VALIDITY_MINUTES, charset: Charset = "utf-8"
) -> dict[str, str]:
    """Return the parameters of ``sendmsg``; ``concat`` is the exact number of parts, since it caps the cost.

    ``most_minutes`` is the longest validity that the gateway takes.  A text beyond ASCII with neither ``unicode`` nor
    ``charset`` is sent in Windows-1252.
    """
    parameters = {
        "to": message.to,
        "climsgid": message.id,
        "concat": str(message.parts),
        "queue": str(message.lane),
        "callback": str(message.callback),
        "validity": str(minutes_left(message.expires_at, now, most_minutes)),
        **_body(message, charset),
    }
    optional = {
        "from": message.sender,
        "deliv_ack": _deliv_ack(message),
        "escalate": "1" if message.escalate else "",
        "mo": "1" if message.mo else "",
        "max_credits": message.max_credits,
        "req_feat": "" if message.required_features is None else str(message.required_features),
        "msg_type": "SMS_FLASH" if message.flash else message.old_type,
        "mclass": "" if message.message_class is None else str(message.message_class),
        "udh": message.udh,
        "scheduled_time": str(gateway_time(message, now) or ""),
    }
    return parameters | {name: value for name, value in optional.items() if value}


def encode(parameters: Mapping[str, str]) -> bytes:
    """Return the form; a text without a charset is in Windows-1252, the gateway's default."""
    text = parameters.get("text", "")
    if text.isascii() or "charset" in parameters:
        return encoded(parameters)
    return encoded(parameters, {"text": text.encode(CP_1252)})


def _deliv_ack(message: Message) -> str:
    if message.handset_receipt is None:
        return "1" if message.callback else ""
    return "1" if message.handset_receipt else "0"


def read_send(reply: HttpReply, to: str = "") -> AttemptOutcome:
    """Read the response to one ``sendmsg``; anything but a clear acceptance or refusal is unreadable."""
    text = _text(reply)
    accepted = _ID.fullmatch(text)
    if accepted and reply.status == 200 and accepted[2] in (None, to):
        return AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=accepted[1])
    refused = _refusal(reply, to)
    if refused:
        return refused
    return foreign.unreadable(reply) if accepted or _ERR.match(text) else foreign.outcome(reply)


def read_auth(reply: HttpReply) -> str | AttemptOutcome:
    """Read the response to ``auth``: the session id, or the refusal."""
    session = _SESSION.fullmatch(_text(reply))
    if session and reply.status == 200:
        return session[1]
    return _refusal(reply) or foreign.outcome(reply)


def read_look_up(reply: HttpReply, unknown: str = "104", *, message_id: str = "", gateway_id: str = "") -> LookUp:
    """Read the response to ``querymsg``; only code 104 (103 for the gateway's id) means not found."""
    status = _STATUS.fullmatch(_text(reply))
    if status and reply.status == 200:
        if status[1] != (gateway_id or status[1]) or status[2] not in (None, message_id or status[2]):
            return LookUp(Known.FAILED, text="the response names another message")
        code = status_code(status[3])
        return LookUp(Known.NO_STATUS if code == "001" else Known.FOUND, status[1], code)
    refused = _refusal(reply)
    if refused and refused.code == unknown:
        return LookUp(Known.NOT_FOUND, text=refused.text)
    return LookUp(Known.FAILED, text=foreign.beginning(reply))


def read_charge(reply: HttpReply, gateway_id: str = "") -> int | None:
    """Read the charge from the response to ``getmsgcharge``, in millionths of a credit."""
    found = _CHARGE.fullmatch(_text(reply))
    if not found or not reply.has_end or reply.status != 200 or found[1] not in (None, gateway_id or found[1]):
        return None
    return millionths(found[3] or found[4])


def read_cancel(reply: HttpReply, gateway_id: str = "", *, message_id: str = "") -> Cancellation:
    """Read the response to ``delmsg``: a status; any status but 006 means that it was too late."""
    status = _STATUS.fullmatch(_text(reply))
    is_ours = status and status[1] == (gateway_id or status[1]) and status[2] in (None, message_id or status[2])
    if status and is_ours and reply.status == 200:
        code = status_code(status[3])
        return Cancellation(code == STOPPED, code, gateway_id=status[1] if message_id else "")
    refused = _refusal(reply)
    if refused:
        return Cancellation(False, code=refused.code, text=refused.text)
    return Cancellation(None, text=foreign.beginning(reply))


def read_coverage(reply: HttpReply) -> Coverage:
    """Read the response to ``routeCoverage``; the sentence of an old version leaves the coverage unknown."""
    text = _text(reply)
    covered = _COVERED.fullmatch(text)
    if covered and text and reply.has_end and reply.status == 200:
        return Coverage(True, millionths(covered[1]) if covered[1] else None)
    refused = _refusal(reply)
    if refused:
        return Coverage.refused(refused, of_number=LEGACY.is_of_number(refused.code))
    return Coverage(None, text=foreign.beginning(reply))


def read_payment(reply: HttpReply) -> Payment:
    """Read the response to ``token_pay``; success is the number 605."""
    if reply.status == 200 and _PAID.fullmatch(_text(reply)):
        return Payment(True)
    refused = _refusal(reply)
    if refused:
        return Payment(False, refused.code, refused.text)
    return Payment(None, text=foreign.beginning(reply))


def read_balance(reply: HttpReply) -> float | str:
    """Read the credits left, or why they are unknown.

    An amount whose end was not announced may be cut: it is not used, although the gateway itself answered.
    """
    text = _text(reply)
    found = _CREDIT.fullmatch(text)
    if reply.status != 200:
        return text[:100] if _refusal(reply) else foreign.beginning(reply)
    if found and not reply.has_end:
        return CUT_BALANCE
    return float(found[1]) if found else text[:100] or "an empty answer"


def _body(message: Message, charset: Charset) -> dict[str, str]:
    """Return the data, or the text in a form that survives: ASCII as it is, others in the charset or as Unicode."""
    if message.encoding is Encoding.BINARY:
        return {"data": message.binary} if message.old_type else {"data": message.binary, "binary": "1"}
    if message.encoding is Encoding.UCS_2:
        return _as_unicode(message)
    if message.text.isascii():
        return {"text": message.text}
    if charset != "utf-8":
        if ALPHABETS[charset].issuperset(message.text):
            return {"text": message.text}
        if measure(message.text, unicode=True, udh_octets=message.header_octets).parts == message.parts:
            return _as_unicode(message)
    return {"text": message.text, "charset": "UTF-8"}  # also what was accepted for it, and has more parts as Unicode


def _as_unicode(message: Message) -> dict[str, str]:
    return {"text": message.text.encode("utf-16-be").hex().upper(), "unicode": "1"}


def _refusal(reply: HttpReply, to: str = "") -> AttemptOutcome | None:
    """Return the refusal that a response is, or None; an error of the client (4xx) may carry one, other errors not.

    A response that may be cut never puts the account on hold.
    """
    text = _text(reply)
    refused = _ERR.fullmatch(text)
    if not refused or len(text.splitlines()) != 1 or not (reply.status == 200 or 400 <= reply.status < 500):
        return None
    if refused[3] not in (None, to) or (not reply.has_end and _is_of_account(refused[1])):
        return None
    wait = reply.retry_after_seconds
    return AttemptOutcome(OutcomeKind.REFUSED, code=refused[1], text=refused[2], retry_after_seconds=wait)


def _is_of_account(code: str) -> bool:
    return LEGACY.rule_for(code).scope.is_of_requests


def _text(reply: HttpReply) -> str:
    return reply.body.decode("utf-8", errors="replace").strip(" \t\r\n")


def create(settings: AccountSettings, client: redis.asyncio.Redis | None) -> Gateway:
    """Return the gateway; call it on the event loop.  Workers share a session through ``client``."""
    return HttpGateway(settings, client)
