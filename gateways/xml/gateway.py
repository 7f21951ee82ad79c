"""XML API: a form field with one document, a sendMsg per message; matches responses by sequence_no.

Source: Clickatell's XML API specification.  The document is pure ASCII (other characters are numeric references), so
its encoding is unambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import redis.asyncio

from threelane.contract.message import Message
from threelane.contract.schedule import MINUTE
from threelane.contract.text import Encoding
from threelane.gateways.http import gateway as http
from threelane.worker.gateway.api import FormApi
from threelane.worker.gateway.entries import balance, clean, is_id
from threelane.worker.gateway.login import EXPIRED
from threelane.worker.gateway.markup import UNWRITABLE, Row, document, rows_of
from threelane.worker.gateway.outcome import AttemptOutcome, Cancellation, Coverage, Known, LookUp, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.policy.rule import Scope
from threelane.worker.policy.statuses import STOPPED, millionths, status_code
from threelane.worker.process.settings import AccountSettings

_ID = re.compile(r"([0-9A-Za-z]{16,64})(?:[ \t]+to:[ \t]*([0-9]+))?", re.IGNORECASE | re.ASCII)
_FAULT = re.compile(r"(?:(\d{1,4})[ \t]*(?:,|$))?[ \t]*(.*)", re.ASCII | re.DOTALL)
_STATUS = re.compile(r"[0-9A-Ca-c]{1,3}")
_OF_ALL = ("100", "900", "901")  # besides account codes: errors of the whole document


class XmlGateway(FormApi):
    """The XML API: up to 99 messages a request, each with its own credentials and our id.

    A document may contain several elements of a kind, and each may have a ``sequence_no`` that its response repeats;
    the specification lists ``sequence_no`` for ``sendMsg``, ``queryMsg`` and ``getMsgCharge`` alike.  It gives no
    limit, so a look-up uses that of a send.
    """

    name = "xml"
    ping = "ping"
    batch_size = 99
    look_ups_per_request = 99

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Send up to 99 messages in one document."""
        reply = await self._request("sendMsg", *_numbered(order(message, now) for message in messages))
        return (
            [reply] * len(messages)
            if isinstance(reply, AttemptOutcome)
            else read_send(reply, [one.to for one in messages])
        )

    async def look_up(self, message_id: str) -> LookUp:
        """Look up the status by our id, then the charge."""
        return await self._known({"cliMsgId": message_id}, unknown="104")

    async def look_up_many(self, message_ids: Sequence[str]) -> list[LookUp]:
        """Look up messages by our ids in documents of up to 99, and the charges of those found in another.

        If a document leaves a message without its own response, that one is looked up alone, as all are from then on.
        """
        size = self.look_ups_per_request
        if size == 1 or len(message_ids) < 2:
            return await super().look_up_many(message_ids)
        slices = [message_ids[start : start + size] for start in range(0, len(message_ids), size)]
        return [one for found in [await self._look_up_together(part) for part in slices] for one in found]

    async def status(self, gateway_id: str) -> LookUp:
        """Look up the status by the gateway's id, then the charge."""
        return await self._known({"apiMsgId": gateway_id}, unknown="103")

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Stop a message that the gateway still holds."""
        reply = await self._request("delMsg", {"apiMsgId": gateway_id})
        return Cancellation.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_cancel(reply)

    async def coverage(self, msisdn: str) -> Coverage:
        """Query whether a number can be reached."""
        reply = await self._request("routeCoverage", {"msisdn": msisdn})
        return Coverage.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_coverage(reply)

    async def balance(self) -> float | str:
        """Return the credits left, or why they are unknown."""
        reply = await self._request("getBalance", {})
        return reply.in_words() if isinstance(reply, AttemptOutcome) else read_balance(reply)

    async def _known(self, named: Mapping[str, str], unknown: str) -> LookUp:
        reply = await self._request("queryMsg", named)
        if isinstance(reply, AttemptOutcome):
            return LookUp.unanswered(reply)
        return await self._priced(read_look_up(reply, unknown))

    async def _look_up_together(self, message_ids: Sequence[str]) -> list[LookUp]:
        reply = await self._request("queryMsg", *_numbered({"cliMsgId": one} for one in message_ids))
        if isinstance(reply, AttemptOutcome):
            return [LookUp.unanswered(reply)] * len(message_ids)
        answers = read_look_ups(reply, message_ids)
        missed = [message_id for message_id, one in zip(message_ids, answers, strict=True) if one is None]
        if missed:
            self.look_ups_per_request = 1
        alone = iter(await super().look_up_many(missed))
        priced = iter(await self._priced_together([one for one in answers if one is not None]))
        return [next(alone) if one is None else next(priced) for one in answers]

    async def _priced_together(self, answers: Sequence[LookUp]) -> list[LookUp]:
        """Add the charges to the look-ups that found their message; a missing charge comes with the receipt."""
        found = [one.gateway_id for one in answers if one.known is Known.FOUND]
        if not found:
            return list(answers)
        reply = await self._request("getMsgCharge", *_numbered({"apiMsgId": one} for one in found))
        charges = [None] * len(found) if isinstance(reply, AttemptOutcome) else read_charges(reply, found)
        each = iter(charges)
        return [one._replace(charge_millionths=next(each)) if one.known is Known.FOUND else one for one in answers]

    async def _charge(self, gateway_id: str) -> int | None:
        reply = await self._request("getMsgCharge", {"apiMsgId": gateway_id})
        return None if isinstance(reply, AttemptOutcome) else read_charge(reply)

    async def _post(self, command: str, elements: Sequence[Mapping[str, str]]) -> HttpReply | AttemptOutcome:
        return await self._submit("xml/xml", {"data": document(command, elements)})

    async def _authenticate(self) -> str | AttemptOutcome:
        reply = await self._post("auth", [self._login.credentials])
        return reply if isinstance(reply, AttemptOutcome) else read_auth(reply)

    def _has_expired(self, reply: HttpReply) -> bool:
        """Return whether every element has this fault: otherwise a part of the document may have been accepted."""
        faults = [_fault(row) for row in _rows(reply)]
        return bool(faults) and all(fault is not None and fault.code in EXPIRED for fault in faults)


def order(message: Message, now: int) -> dict[str, str]:
    """Return the children of a ``sendMsg``: the HTTP API's parameters, with our id under this API's name for it."""
    fields = http.form(message, now)
    if at := fields.pop("scheduled_time", ""):  # here it is minutes from now
        fields["deliv_time"] = str(max(1, -(-(int(at) * 1000 - now) // MINUTE)))
    named = {{"climsgid": "cliMsgId"}.get(name, name): value for name, value in fields.items() if name != "charset"}
    if message.encoding is Encoding.GSM_7 and UNWRITABLE.search(message.text):  # a form feed: GSM has it, XML does not
        named |= {"text": message.text.encode("utf-16-be").hex().upper(), "unicode": "1"}
    return named


def read_send(reply: HttpReply, recipients: Sequence[str]) -> list[AttemptOutcome]:
    """Read the response to a document by sequence number; a message without its own element is unreadable."""
    rows, count = _rows(reply), len(recipients)
    whole = _of_all(rows, count)
    if whole:
        return [whole] * count
    if count == len(rows) == 1 and "sequence_no" not in rows[0]:
        rows = [{**rows[0], "sequence_no": "1"}]
    nothing = AttemptOutcome(OutcomeKind.UNREADABLE, text=_beginning(reply))
    answers = zip(recipients, _by_number(rows, "sendmsgresp", count), strict=True)
    return [nothing if row is None else read_row(row, to) for to, row in answers]


def _numbered(elements: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the elements with the numbers by which their responses are matched."""
    return [{**one, "sequence_no": str(number)} for number, one in enumerate(elements, 1)]


def _by_number(rows: Sequence[Row], tag: str, count: int) -> list[Row | None]:
    """Return the response to each numbered element, or None if it has not exactly one."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row[""] == tag:
            found.setdefault(row.get("sequence_no", ""), []).append(row)
    answers = [found.get(str(number), []) for number in range(1, count + 1)]
    return [one[0] if len(one) == 1 else None for one in answers]


def read_row(row: Row, to: str) -> AttemptOutcome:
    """Read one message's element: an id, with or without the number behind it, or a fault, but not both."""
    accepted, refused = _ID.fullmatch(row.get("apimsgid", "")), _fault(row)
    if accepted and not refused and accepted[2] in (None, to):
        return AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=accepted[1])
    if refused and "apimsgid" not in row:
        return refused
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=_words(row))


def read_auth(reply: HttpReply) -> str | AttemptOutcome:
    """Read the response to ``auth``: the session id, or the refusal."""
    row = _one(reply, "authresp")
    return row.get("session_id") or _fault(row) or AttemptOutcome(OutcomeKind.UNREADABLE, text=_beginning(reply))


def read_look_up(reply: HttpReply, unknown: str) -> LookUp:
    """Read the response to ``queryMsg``; only the code ``unknown`` means not found."""
    row = _one(reply, "querymsgresp")
    return _looked_up(row, unknown) if row else LookUp(Known.FAILED, text=_beginning(reply))


def read_look_ups(reply: HttpReply, message_ids: Sequence[str]) -> list[LookUp | None]:
    """Read the responses to numbered ``queryMsg`` elements; None: a message has no response of its own.

    A response of another HTTP status, or a fault of the account or of the gateway for all, proves nothing.
    """
    rows, count = _rows(reply), len(message_ids)
    whole = _of_all(rows, count)
    if reply.status != 200 or (whole and whole.code != "100" and len(rows) != count):
        return [LookUp(Known.FAILED, text=whole.text if whole else _beginning(reply))] * count
    answers = zip(message_ids, _by_number(rows, "querymsgresp", count), strict=True)
    return [None if row is None else _looked_up(row, "104", message_id) for message_id, row in answers]


def read_charges(reply: HttpReply, gateway_ids: Sequence[str]) -> list[int | None]:
    """Read the charges from the responses to numbered ``getMsgCharge`` elements, in millionths of a credit."""
    rows = _by_number(_rows(reply), "getmsgchargeresp", len(gateway_ids))
    return [
        _charged(row) if row and row.get("apimsgid") == gateway_id else None
        for gateway_id, row in zip(gateway_ids, rows, strict=True)
    ]


def read_charge(reply: HttpReply) -> int | None:
    """Read the charge from the response to ``getMsgCharge``, in millionths of a credit."""
    return _charged(_one(reply, "getmsgchargeresp"))


def read_cancel(reply: HttpReply) -> Cancellation:
    """Read the response to ``delMsg``: a status; any status but 006 means that it was too late."""
    row = _one(reply, "delmsgresp")
    refused, code = _fault(row), _status(row)
    if refused:
        return Cancellation(False, code=refused.code, text=refused.text)
    return Cancellation(code == STOPPED, code) if code else Cancellation(None, text=_beginning(reply))


def read_coverage(reply: HttpReply) -> Coverage:
    """Read the response to ``routeCoverage``; unknown after a fault of the account or a temporary one."""
    row = _one(reply, "routecoverageresp")
    refused = _fault(row)
    if refused:
        return Coverage(False if LEGACY.stops(refused.code) else None, text=refused.text)
    if "ok" not in row:
        return Coverage(None, text=_beginning(reply))
    return Coverage(True, millionths(row["charge"]) if "charge" in row else None)


def read_balance(reply: HttpReply) -> float | str:
    """Read the credits left, or why they are unknown."""
    row = _one(reply, "getbalanceresp")
    refused, left = _fault(row), balance(row.get("ok"))
    if refused:
        return f"{refused.code} {refused.text}"
    return _beginning(reply) if left is None else left


def _rows(reply: HttpReply) -> list[Row]:
    return rows_of(reply.body, "clickapi") if reply.status == 200 else []


def _beginning(reply: HttpReply) -> str:
    return f"HTTP {reply.status} {clean(reply.body[:1000].decode(errors='replace'))[:80]}".strip()


def _of_all(rows: Sequence[Row], count: int) -> AttemptOutcome | None:
    """Return the fault of the whole document, if it has no other content; a message's fault has a number."""
    faults = {_fault(row) for row in rows}
    if len(faults) != 1 or any("sequence_no" in row or "apimsgid" in row for row in rows):
        return None
    (only,) = faults
    if only is None or len(rows) not in (1, count):
        return None
    whole = LEGACY.rule_for(only.code).scope is Scope.ACCOUNT or only.code in _OF_ALL
    return only if whole or len(rows) == count else None


def _one(reply: HttpReply, tag: str) -> Row:
    """Return the only row of a response, or an empty one."""
    rows = _rows(reply)
    return rows[0] if len(rows) == 1 and (rows[0][""] == tag or "fault" in rows[0]) else {}


def _fault(row: Row) -> AttemptOutcome | None:
    if "fault" not in row:
        return None
    code, text = _FAULT.fullmatch(row["fault"]).groups()  # type: ignore[union-attr]  # it matches every text
    return AttemptOutcome(OutcomeKind.REFUSED, code=code.zfill(3) if code else "none", text=clean(text))


def _looked_up(row: Row, unknown: str, message_id: str = "") -> LookUp:
    """Return the result that one message's response means; one that names another message proves nothing."""
    refused, code = _fault(row), _status(row)
    nothing = LookUp(Known.FAILED, text=refused.text if refused else _words(row))
    if message_id and row.get("climsgid", message_id) != message_id:
        return nothing
    if refused:
        is_unknown = refused.code == unknown and "apimsgid" not in row
        return LookUp(Known.NOT_FOUND, text=refused.text) if is_unknown else nothing
    if not code or not is_id(row.get("apimsgid")):
        return nothing
    return LookUp(Known.NO_STATUS if code == "001" else Known.FOUND, row["apimsgid"], code)


def _charged(row: Row) -> int | None:
    return millionths(row["charge"]) if "charge" in row and "fault" not in row else None


def _words(row: Row) -> str:
    return clean(str(dict(row)))[:80]


def _status(row: Row) -> str:
    raw = row.get("status", "")
    return status_code(raw) if _STATUS.fullmatch(raw) else ""


def create(settings: AccountSettings, client: redis.asyncio.Redis | None) -> Gateway:
    """Return the gateway; call it on the event loop.  Workers share a session through ``client``."""
    return XmlGateway(settings, client)
