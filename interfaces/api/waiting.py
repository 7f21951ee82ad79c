"""Waiting: schedules."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from threelane.contract.errors import Refused
from threelane.contract.refusal import Code
from threelane.interfaces.api import criteria, describe, problem, visible_to
from threelane.interfaces.api.body import Single, answered
from threelane.interfaces.api.caller import Caller
from threelane.interfaces.api.describe import EXAMPLE_ID, answer, answers, problems
from threelane.interfaces.api.messages import MessageId, changeable
from threelane.interfaces.api.service import Shared
from threelane.producer.http.values import Move
from threelane.producer.reschedule import Moved
from threelane.store.api_key import ApiKey
from threelane.store.find import FoundMessage
from threelane.store.states import Status

router = APIRouter()
Time = Annotated[str, Query(description="ISO 8601 with its zone", examples=["2031-06-30T14:00:00Z"])]
_FOUND = FoundMessage(
    id=EXAMPLE_ID, status=Status.SCHEDULED, lane=3, to="27831234567", due_at=1767225600000, tags="promo"
)


@router.get(
    "/schedules",
    tags=["schedules"],
    responses=answers(200, FoundMessage, "waiting messages, the earliest first", _FOUND) | problems(),
)
async def list_schedules(
    service: Shared,
    key: Caller,
    batch: criteria.Batch = "",
    tag: criteria.Tag = "",
    lane: criteria.Lane = 0,
    after: Time = "",
    before: Time = "",
    most: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Response:
    """List the messages that wait for a time: schedules, deferrals and retries."""
    producer = whose(key)

    def read() -> list[FoundMessage]:
        return service.producer.scheduled(
            batch=batch, tag=tag, lane=lane, producer=producer, after=after, before=before, most=most
        )

    try:
        found = await service.aside(key.producer, read)
    except ValueError as wrong:
        field, _, rest = str(wrong).partition(": ")
        raise problem.stop(
            422, rest, code=Code.TIME_OR_CLIENT_ID, field=f"query.{field}", remedy="correct it"
        ) from None
    return answered(visible_to.messages(key, found))


@router.patch(
    "/schedules/{message_id:message}",
    tags=["schedules"],
    responses=answer(200, Moved, "its new time", Moved(EXAMPLE_ID, 1767225600000, 1767312000000))
    | problems(400, 404, 408, 413),
    openapi_extra=describe.body_of(Move, Move("2031-06-30T14:00:00Z")),
)
def move_message(service: Shared, key: Caller, message_id: MessageId, body: Single) -> Response:
    """Reschedule a waiting message; its validity moves with it, unless the caller set it."""
    wanted = problem.read(body, Move)
    changeable(service, key, message_id)
    try:
        return answered(service.producer.move(message_id, wanted.deliver_at))
    except Refused as refused:
        if refused.code == Code.CLIENT_ID:
            raise problem.unknown("this message", message_id) from None
        raise


def whose(key: ApiKey) -> str:
    """Return the producer whose messages a key may see; empty for all."""
    return "" if key.may_view else key.producer
