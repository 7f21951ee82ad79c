"""XML API: a form field with one document, a sendMsg per message; matches responses by sequence_no.

Source: Clickatell's XML API specification.  The document is pure ASCII (other characters are numeric references), so
its encoding is unambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import redis.asyncio

from threelane.contract.message import Message
from threelane.contract.schedule import GATEWAY_VALIDITY_MINUTES, MINUTE
from threelane.contract.text import Encoding, measure
from threelane.gateways.http import gateway as http
from threelane.worker.gateway import foreign
from threelane.worker.gateway.api import FormApi
from threelane.worker.gateway.entries import balance, clean
from threelane.worker.gateway.form import encode
from threelane.worker.gateway.login import EXPIRED
from threelane.worker.gateway.markup import UNWRITABLE, Row, document, rows_of
from threelane.worker.gateway.outcome import AttemptOutcome, Cancellation, Coverage, Known, LookUp, OutcomeKind
from threelane.worker.gateway.protocol import Gateway
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.policy.statuses import STOPPED, millionths, status_code
from threelane.worker.process.settings import AccountSettings

_ID = re.compile(rf"({http.ID})(?:[ \t]+to:[ \t]*([0-9]+))?", re.IGNORECASE | re.ASCII)
_HEXADECIMAL = re.compile(http.ID, re.IGNORECASE | re.ASCII)
_FAULT = re.compile(r"(\d{3}),[ \t]*(.*)", re.ASCII | re.DOTALL)
_STATUS = re.compile(r"[0-9]{2}[0-9A-Ca-c]")
_LAST_NUMBER = 999_999
_MARKS = ("to", "climsgid")  # what a response may repeat of its request
_OF_ALL = ("100", "900", "901")  # besides account codes: errors of the whole document


class XmlGateway(FormApi):
    """The XML API: up to 99 messages a request, each with its own credentials and our id.

    A document may contain several elements of a kind, and each may have a ``sequence_no`` that its response repeats;
    the specification lists ``sequence_no`` for ``sendMsg``, ``queryMsg`` and ``getMsgCharge`` alike.  It gives no
    limit, so a look-up uses that of a send.
    """

    name = "xml"
    ping = "ping"
    can_cancel_by_our_id = True
    batch_size = 99
    look_ups_per_request = 99
    _next_number = 1

    async def send(self, messages: Sequence[Message], now: int) -> list[AttemptOutcome]:
        """Send up to 99 messages in one document."""
        first = self._numbers(len(messages))
        orders = (order(message, now, self._most_minutes) for message in messages)
        reply = await self._request("sendMsg", *_numbered(first, orders))
        if isinstance(reply, AttemptOutcome):
            return [reply] * len(messages)
        return self._wire.trusting(read_send(reply, [(one.to, one.id) for one in messages], first))

    async def look_up(self, message_id: str) -> LookUp:
        """Look up the status by our id, then the charge."""
        reply = await self._request("queryMsg", {"cliMsgId": message_id})
        if isinstance(reply, AttemptOutcome):
            return LookUp.unanswered(reply)
        return await self._priced(read_look_up(reply, "104", message_id=message_id))

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
        reply = await self._request("queryMsg", {"apiMsgId": gateway_id})
        if isinstance(reply, AttemptOutcome):
            return LookUp.unanswered(reply)
        return await self._priced(read_look_up(reply, "103", gateway_id=gateway_id))

    async def cancel(self, gateway_id: str) -> Cancellation:
        """Stop a message that the gateway still holds."""
        reply = await self._request("delMsg", {"apiMsgId": gateway_id})
        return Cancellation.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_cancel(reply, gateway_id)

    async def cancel_by_our_id(self, message_id: str) -> Cancellation:
        """Stop a message that the gateway may hold, by our id."""
        reply = await self._request("delMsg", {"cliMsgId": message_id})
        if isinstance(reply, AttemptOutcome):
            return Cancellation.unanswered(reply)
        return read_cancel(reply, message_id=message_id)

    async def coverage(self, msisdn: str) -> Coverage:
        """Query whether a number can be reached."""
        reply = await self._request("routeCoverage", {"msisdn": msisdn})
        return Coverage.unanswered(reply) if isinstance(reply, AttemptOutcome) else read_coverage(reply)

    async def balance(self) -> float | str:
        """Return the credits left, or why they are unknown."""
        reply = await self._request("getBalance", {})
        return reply.in_words() if isinstance(reply, AttemptOutcome) else read_balance(reply)

    async def _look_up_together(self, message_ids: Sequence[str]) -> list[LookUp]:
        first = self._numbers(len(message_ids))
        reply = await self._request("queryMsg", *_numbered(first, ({"cliMsgId": one} for one in message_ids)))
        if isinstance(reply, AttemptOutcome):
            return [LookUp.unanswered(reply)] * len(message_ids)
        answers = read_look_ups(reply, message_ids, first)
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
        first = self._numbers(len(found))
        reply = await self._request("getMsgCharge", *_numbered(first, ({"apiMsgId": one} for one in found)))
        charges = [None] * len(found) if isinstance(reply, AttemptOutcome) else read_charges(reply, found, first)
        each = iter(charges)
        return [one._replace(charge_millionths=next(each)) if one.known is Known.FOUND else one for one in answers]

    def _numbers(self, count: int) -> int:
        """Return the first of so many sequence numbers; none is used twice, so that no old response fits a request."""
        if self._next_number + count > _LAST_NUMBER:
            self._next_number = 1
        first = self._next_number
        self._next_number += count
        return first

    async def _charge(self, gateway_id: str) -> int | None:
        reply = await self._request("getMsgCharge", {"apiMsgId": gateway_id})
        return None if isinstance(reply, AttemptOutcome) else read_charge(reply, gateway_id)

    async def _post(self, command: str, elements: Sequence[Mapping[str, str]]) -> HttpReply | AttemptOutcome:
        return await self._submit("xml/xml", encode({"data": document(command, elements)}))

    async def _authenticate(self) -> str | AttemptOutcome:
        reply = await self._post("auth", [self._login.credentials])
        return reply if isinstance(reply, AttemptOutcome) else read_auth(reply)

    def _has_expired(self, reply: HttpReply) -> bool:
        """Return whether every element has this fault: otherwise a part of the document may have been accepted."""
        faults = [_fault(row) for row in _successes(reply)]
        return bool(faults) and all(fault is not None and fault.code in EXPIRED for fault in faults)


def order(message: Message, now: int, most_minutes: int = GATEWAY_VALIDITY_MINUTES) -> dict[str, str]:
    """Return the children of a ``sendMsg``: the HTTP API's parameters, with our id under this API's name for it."""
    fields = http.form(message, now, most_minutes)
    if at := fields.pop("scheduled_time", ""):  # here it is minutes from now
        fields["deliv_time"] = str(max(1, -(-(int(at) * 1000 - now) // MINUTE)))
    named = {{"climsgid": "cliMsgId"}.get(name, name): value for name, value in fields.items() if name != "charset"}
    if message.encoding is Encoding.GSM_7 and UNWRITABLE.search(message.text):
        named |= _without_form_feed(message)
    return named


def _without_form_feed(message: Message) -> dict[str, str]:
    """Return a text with a form feed, which XML lacks: as UCS-2, or with blank lines if UCS-2 takes more parts.

    The parts were counted in GSM-7, where a form feed takes the two septets of two line feeds, and are the most that
    the request allows.
    """
    if measure(message.text, unicode=True, udh_octets=len(message.udh) // 2).parts > message.parts:
        return {"text": UNWRITABLE.sub("\n\n", message.text)}
    return {"text": message.text.encode("utf-16-be").hex().upper(), "unicode": "1"}


def read_send(reply: HttpReply, sent: Sequence[tuple[str, str]], first: int = 1) -> list[AttemptOutcome]:
    """Read the response to a document by sequence number; a message without its own element is unreadable.

    ``sent`` has the recipient and our id of each message, in the order of their numbers.
    """
    rows, count = _rows(reply), len(sent)
    if not rows:
        return [foreign.outcome(reply)] * count
    whole = _of_all(rows, count)
    if whole:
        return [_in_status(whole, reply)] * count
    if count == len(rows) == 1 and "sequence_no" not in rows[0]:
        rows = [{**rows[0], "sequence_no": str(first)}]
    nothing = foreign.unreadable(reply)
    answers = zip(sent, _by_number(rows, "sendmsgresp", first, count), strict=True)
    return [nothing if row is None else _in_status(read_row(row, *one), reply) for one, row in answers]


def _numbered(first: int, elements: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the elements with the numbers by which their responses are matched."""
    return [{**one, "sequence_no": str(number)} for number, one in enumerate(elements, first)]


def _by_number(rows: Sequence[Row], tag: str, first: int, count: int) -> list[Row | None]:
    """Return the response to each numbered element, or None if it has not exactly one."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row[""] == tag:
            found.setdefault(row.get("sequence_no", ""), []).append(row)
    answers = [found.get(str(number), []) for number in range(first, first + count)]
    return [one[0] if len(one) == 1 else None for one in answers]


def read_row(row: Row, to: str, message_id: str = "") -> AttemptOutcome:
    """Read one message's element: an id, with or without the number behind it, or a fault, but not both.

    An element that repeats another recipient or another id of ours is unreadable.
    """
    accepted, refused = _ID.fullmatch(row.get("apimsgid", "")), _fault(row)
    if not _names_another(row, to, message_id):
        if accepted and not refused and accepted[2] in (None, to):
            return AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=accepted[1])
        if refused and "apimsgid" not in row:
            return refused
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=_words(row))


def _names_another(row: Row, *expected: str) -> bool:
    return any(mark and row.get(name, mark) not in ("", mark) for name, mark in zip(_MARKS, expected, strict=True))


def _in_status(outcome: AttemptOutcome, reply: HttpReply) -> AttemptOutcome:
    """Return an element's outcome: an acceptance only counts in HTTP 200, a refusal also in the client's errors."""
    wait = reply.retry_after_seconds
    if reply.status == 200 or (outcome.kind is OutcomeKind.REFUSED and 400 <= reply.status < 500):
        return outcome._replace(retry_after_seconds=wait) if wait else outcome
    return foreign.unreadable(reply)


def read_auth(reply: HttpReply) -> str | AttemptOutcome:
    """Read the response to ``auth``: the session id, or the refusal."""
    row = _one(reply, "authresp")
    if _HEXADECIMAL.fullmatch(row.get("session_id", "")):
        return row["session_id"]
    return _fault(row) or foreign.outcome(reply)


def read_look_up(reply: HttpReply, unknown: str, *, message_id: str = "", gateway_id: str = "") -> LookUp:
    """Read the response to ``queryMsg``; only the code ``unknown`` means not found."""
    row = _one(reply, "querymsgresp")
    return (
        _looked_up(row, unknown, message_id, gateway_id) if row else LookUp(Known.FAILED, text=foreign.beginning(reply))
    )


def read_look_ups(reply: HttpReply, message_ids: Sequence[str], first: int = 1) -> list[LookUp | None]:
    """Read the responses to numbered ``queryMsg`` elements; None: a message has no response of its own.

    A response of another HTTP status, or a fault of the account or of the gateway for all, proves nothing.
    """
    rows, count = _rows(reply), len(message_ids)
    whole = _of_all(rows, count)
    if reply.status != 200 or (whole and whole.code != "100" and len(rows) != count):
        return [LookUp(Known.FAILED, text=whole.text if whole else foreign.beginning(reply))] * count
    answers = zip(message_ids, _by_number(rows, "querymsgresp", first, count), strict=True)
    return [None if row is None else _looked_up(row, "104", message_id) for message_id, row in answers]


def read_charges(reply: HttpReply, gateway_ids: Sequence[str], first: int = 1) -> list[int | None]:
    """Read the charges from the responses to numbered ``getMsgCharge`` elements, in millionths of a credit."""
    rows = _by_number(_successes(reply), "getmsgchargeresp", first, len(gateway_ids))
    return [None if row is None else _charged(row, one) for one, row in zip(gateway_ids, rows, strict=True)]


def read_charge(reply: HttpReply, gateway_id: str = "") -> int | None:
    """Read the charge from the response to ``getMsgCharge``, in millionths of a credit."""
    return _charged(_one(reply, "getmsgchargeresp"), gateway_id)


def read_cancel(reply: HttpReply, gateway_id: str = "", *, message_id: str = "") -> Cancellation:
    """Read the response to ``delMsg``: a status; any status but 006 means that it was too late."""
    row = _one(reply, "delmsgresp")
    refused, code = _fault(row), _status(row)
    if refused and refused.kind is OutcomeKind.REFUSED:
        return Cancellation(False, code=refused.code, text=refused.text)
    its_id = row.get("apimsgid", "")
    is_ours = its_id == gateway_id if gateway_id else not message_id or _HEXADECIMAL.fullmatch(its_id)
    if refused or not code or not is_ours or _names_another(row, "", message_id):
        return Cancellation(None, text=foreign.beginning(reply))
    return Cancellation(code == STOPPED, code, gateway_id=its_id if message_id else "")


def read_coverage(reply: HttpReply) -> Coverage:
    """Read the response to ``routeCoverage``; unknown after a fault of the account or a temporary one."""
    row = _one(reply, "routecoverageresp")
    refused = _fault(row)
    if refused and refused.kind is OutcomeKind.REFUSED:
        return Coverage.refused(refused, of_number=LEGACY.is_of_number(refused.code))
    if refused or "ok" not in row:
        return Coverage(None, text=foreign.beginning(reply))
    return Coverage(True, millionths(row["charge"]) if "charge" in row else None)


def read_balance(reply: HttpReply) -> float | str:
    """Read the credits left, or why they are unknown."""
    row = _one(reply, "getbalanceresp")
    refused, left = _fault(row), balance(row.get("ok"))
    if refused:
        return f"{refused.code} {refused.text}".strip()
    return foreign.beginning(reply) if left is None else left


def _rows(reply: HttpReply) -> list[Row]:
    return rows_of(reply.body, "clickapi")


def _successes(reply: HttpReply) -> list[Row]:
    """Return the elements of a response in the only HTTP status that this API has."""
    return _rows(reply) if reply.status == 200 else []


def _of_all(rows: Sequence[Row], count: int) -> AttemptOutcome | None:
    """Return the fault of the whole document, if it has no other content; a message's fault has a number."""
    faults = {_fault(row) for row in rows}
    if len(faults) != 1 or any("sequence_no" in row or "apimsgid" in row for row in rows):
        return None
    (only,) = faults
    if only is None or len(rows) not in (1, count):
        return None
    whole = LEGACY.rule_for(only.code).scope.is_of_requests or only.code in _OF_ALL
    return only if whole or len(rows) == count else None


def _one(reply: HttpReply, tag: str) -> Row:
    """Return the only row of a response, or an empty one."""
    rows = _successes(reply)
    return rows[0] if len(rows) == 1 and (rows[0][""] == tag or "fault" in rows[0]) else {}


def _fault(row: Row) -> AttemptOutcome | None:
    """Return the refusal that an element contains; one without three digits and a comma is unreadable."""
    if "fault" not in row:
        return None
    found = _FAULT.fullmatch(row["fault"])
    if not found:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=clean(row["fault"])[:80])
    return AttemptOutcome(OutcomeKind.REFUSED, code=found[1], text=clean(found[2]))


def _looked_up(row: Row, unknown: str, message_id: str = "", gateway_id: str = "") -> LookUp:
    """Return the result that one message's response means; one that names another message proves nothing."""
    refused, code = _fault(row), _status(row)
    nothing = LookUp(Known.FAILED, text=refused.text if refused else _words(row))
    if _names_another(row, "", message_id) or (gateway_id and row.get("apimsgid", gateway_id) != gateway_id):
        return nothing
    if refused:
        is_unknown = refused.code == unknown and "apimsgid" not in row
        return LookUp(Known.NOT_FOUND, text=refused.text) if is_unknown else nothing
    if not code or not _HEXADECIMAL.fullmatch(row.get("apimsgid", "")):
        return nothing
    return LookUp(Known.NO_STATUS if code == "001" else Known.FOUND, row["apimsgid"], code)


def _charged(row: Row, gateway_id: str) -> int | None:
    is_ours = row.get("apimsgid", "") == gateway_id or not gateway_id
    return millionths(row["charge"]) if is_ours and "charge" in row and "fault" not in row else None


def _words(row: Row) -> str:
    return clean(str(dict(row)))[:80]


def _status(row: Row) -> str:
    raw = row.get("status", "")
    return status_code(raw) if _STATUS.fullmatch(raw) else ""


def create(settings: AccountSettings, client: redis.asyncio.Redis | None) -> Gateway:
    """Return the gateway; call it on the event loop.  Workers share a session through ``client``."""
    return XmlGateway(settings, client)
