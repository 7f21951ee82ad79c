"""Messages: send one or many, read the status of one, cancel it."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path
from fastapi.responses import Response
from starlette.convertors import Convertor, register_url_convertor

from threelane.contract import fields, message_id
from threelane.contract.errors import Refused
from threelane.contract.refusal import Code, Refusal
from threelane.contract.text import Encoding
from threelane.interfaces.api import describe, problem, visible_to
from threelane.interfaces.api.body import List, Single, answered
from threelane.interfaces.api.caller import Caller, lacking, pay
from threelane.interfaces.api.describe import EXAMPLE_ID, MESSAGE, MESSAGE_EXAMPLE, answer, problems
from threelane.interfaces.api.one_by_one import OneByOne
from threelane.interfaces.api.service import Service, Shared
from threelane.producer.accept import Accepted
from threelane.producer.cancel import Cancelled, CancelResult
from threelane.producer.http.values import MOST_MESSAGES, Many, MessageResult, MessageResults, RefusedMessage
from threelane.store.api_key import ApiKey
from threelane.store.states import Status
from threelane.store.status import MessageStatus


class _IdConvertor(Convertor[str]):
    """Matches only a message id: any other path is 404."""

    regex = message_id.PATTERN

    def convert(self, value: str) -> str:
        """Return the id."""
        return value

    def to_string(self, value: str) -> str:
        """Return the id."""
        return value


register_url_convertor("message", _IdConvertor())
router = APIRouter(tags=["messages"])
MessageId = Annotated[
    str, Path(pattern=f"^{message_id.PATTERN}$", description="the id that accept returned", examples=[EXAMPLE_ID])
]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="becomes the client message id: 1 to 32 letters and digits, or a UUID"),
]
_ACCEPTED = Accepted(id=EXAMPLE_ID, lane=1, parts=1, encoding=Encoding.GSM_7, units=17, status=Status.QUEUED)
_REFUSED = RefusedMessage.from_error(Refused(Code.EMPTY, "text", "the text is empty", "give it a text"))
_RESULTS = MessageResults(
    1, 1, 0, [MessageResult(0, True, message=_ACCEPTED), MessageResult(1, False, refusal=_REFUSED)]
)
STANDS = MessageStatus(
    id=EXAMPLE_ID, status=Status.SENT, lane=1, to="27831234567", parts=1, accepted_at=1767225600000,
    expires_at=1767312000000, sent_at=1767225600120, attempts=1, producer="shop", client_message_id="login4711",
)  # fmt: skip
_LINKS = ("message_status", "message_timeline", "cancel_message", "move_message")


@router.post(
    "/messages",
    status_code=201,
    responses=answer(201, Accepted, "accepted; from now on it is never lost", _ACCEPTED, links=_LINKS)
    | answer(200, Accepted, "accepted before, under the same client message id", _ACCEPTED)
    | problems(400, 408, 409, 413),
    openapi_extra=describe.body(MESSAGE, MESSAGE_EXAMPLE),
)
def send_message(service: Shared, key: Caller, body: Single, idempotency_key: IdempotencyKey = None) -> Response:
    """Send a message: 201, or 200 when it was accepted before under the same client message id."""
    raw = problem.read(body, dict[str, Any])
    result = service.producer.send_as(key, _identified(raw, idempotency_key))
    return answered(result.explained(), 200 if result.repeated else 201, {"Location": f"/v1/messages/{result.id}"})


@router.post(
    "/messages/bulk",
    responses=answer(200, MessageResults, "one result per message, in order", _RESULTS) | problems(400, 408, 413),
    openapi_extra=describe.body(
        {
            "type": "object",
            "properties": {"messages": {"type": "array", "maxItems": MOST_MESSAGES, "items": describe.ANY_MESSAGE}},
            "required": ["messages"],
            "additionalProperties": False,
        },
        {"messages": [MESSAGE_EXAMPLE, {"to": "27831234568", "text": ""}]},
    ),
)
async def send_messages(service: Shared, key: Caller, body: List, idempotency_key: IdempotencyKey = None) -> Response:
    """Send up to 10,000 messages; each is accepted or refused individually, so read the verdicts."""
    if idempotency_key is not None:
        raise problem.of(_idempotency("one key for a list of messages", "give each message a client_message_id"))
    return await service.aside(key.producer, _send_all, service, key, body)


def _send_all(service: Service, key: ApiKey, body: bytearray) -> Response:
    raw = problem.read(body, Many).messages
    if len(raw) > MOST_MESSAGES:
        remedy = f"send at most {MOST_MESSAGES:,} at a time"
        raise problem.stop(413, f"{len(raw):,} messages", field="messages", remedy=remedy)
    pay(service, key, service.producer.now(), len(raw) - 1, owed=True)
    verdicts = []
    one_by_one = OneByOne(raw)
    for index, result in one_by_one.in_order(service.producer.send_many_as(key, one_by_one)):
        if isinstance(result, Refused):
            verdicts.append(MessageResult(index, False, refusal=RefusedMessage.from_error(result)))
        else:
            verdicts.append(MessageResult(index, True, message=result.explained()))
    accepted = [one.message for one in verdicts if one.message]
    repeated = sum(one.repeated for one in accepted)
    return answered(MessageResults(len(accepted), len(verdicts) - len(accepted), repeated, verdicts))


@router.get(
    "/messages/{message_id:message}",
    responses=answer(200, MessageStatus, "its status", STANDS) | problems(404),
)
def message_status(service: Shared, key: Caller, message_id: MessageId) -> Response:
    """Return the status of a message; times are Unix time in milliseconds."""
    return answered(visible_to.message(key, owned(service, key, message_id)))


@router.delete(
    "/messages/{message_id:message}",
    responses=answer(200, Cancelled, "it will not be sent", Cancelled(EXAMPLE_ID, CancelResult.CANCELLED, "queued"))
    | answer(
        202,
        Cancelled,
        "the gateway has it and was requested to stop it (`asked`), or an attempt is in progress or in doubt and is "
        "not repeated (`not_retried`); an outcome event follows",
        Cancelled(EXAMPLE_ID, CancelResult.ASKED, "sent"),
    )
    | problems(404, 409),
)
def cancel_message(service: Shared, key: Caller, message_id: MessageId) -> Response:
    """Cancel a message that was not sent yet; 409 says why it is too late."""
    changeable(service, key, message_id)
    (result,) = service.producer.cancel([message_id])
    if result.answer is CancelResult.UNKNOWN:
        raise problem.unknown("this message", message_id)
    if result.answer is CancelResult.TOO_LATE:
        remedy = "only what is not sent yet can be cancelled"
        raise problem.stop(409, result.why, field="id", remedy=remedy, id=message_id, state=result.status)
    return answered(result, 200 if result.answer is CancelResult.CANCELLED else 202)


def owned(service: Service, key: ApiKey, message_id: str) -> MessageStatus:
    """Return the status of a message of the key's producer; another producer's message is unknown."""
    found = service.producer.status(message_id)
    if found is None or not (key.may_view or found.producer == key.producer):
        raise problem.unknown("this message", message_id)
    return found


def changeable(service: Service, key: ApiKey, message_id: str) -> MessageStatus:
    """Return the status of a message that the key may change: a viewer only reads those of other producers."""
    found = owned(service, key, message_id)
    if not (key.operator or found.producer == key.producer):
        raise lacking("operator", "--operator")
    return found


def _identified(raw: dict[str, Any], header: str | None) -> dict[str, Any]:
    """Return the message with the header as its client message id; ends the request if the two differ."""
    if header is None:
        return raw
    wanted = fields.client_id(_without_dashes(header), "Idempotency-Key")
    if isinstance(wanted, Refusal):
        raise problem.of(wanted)
    spelt = [name for name in raw if (field := fields.named(name)) and field.name == "client_message_id"]
    result = raw[spelt[0]] if spelt else None
    if result not in (None, wanted):
        raise problem.of(
            _idempotency(f"it is not the {spelt[0]} of the message", "send one of the two, or the same value")
        )
    return {name: value for name, value in raw.items() if name not in spelt} | {"client_message_id": wanted}


def _without_dashes(header: str) -> str:
    try:
        return uuid.UUID(header).hex if len(header) == 36 else header
    except ValueError:
        return header


def _idempotency(what: str, remedy: str) -> Refusal:
    return Refusal(code=Code.TIME_OR_CLIENT_ID, field="Idempotency-Key", problem=what, remedy=remedy)
