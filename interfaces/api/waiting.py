"""Waiting: batches and schedules."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import AfterValidator

from threelane.contract.errors import Refused
from threelane.contract.fields import BATCH_NAME, batch_name
from threelane.contract.prices import country
from threelane.contract.refusal import Code, Refusal
from threelane.interfaces.api import criteria, describe, problem, visible_to
from threelane.interfaces.api.body import Single, answered
from threelane.interfaces.api.caller import Caller
from threelane.interfaces.api.describe import EXAMPLE_ID, answer, answers, problems
from threelane.interfaces.api.messages import MessageId, changeable
from threelane.interfaces.api.service import Service, Shared
from threelane.producer.cancel import CancelResult
from threelane.producer.files.countries import Countries, CountryCost
from threelane.producer.http.values import BatchCounts, CancelledBatch, Move
from threelane.producer.reschedule import Moved
from threelane.store import find
from threelane.store.api_key import ApiKey
from threelane.store.find import FoundMessage
from threelane.store.states import Status

router = APIRouter()
_counting = Lock()
NAME = f"^{BATCH_NAME}$"


def _batch_name(raw: str) -> str:
    parsed = batch_name(raw, "batch")
    if isinstance(parsed, Refusal):
        raise ValueError(f"{parsed.problem}; {parsed.remedy}")
    return str(parsed)


BatchName = Annotated[
    str,
    Path(pattern=NAME, description="the name of the batch", examples=["newsletter-7"]),
    AfterValidator(_batch_name),
]
Time = Annotated[str, Query(description="ISO 8601 with its zone", examples=["2031-06-30T14:00:00Z"])]
_BATCH = BatchCounts(
    900, {"delivered": 840, "sent": 60}, {"ZA": CountryCost(messages=900, parts=900, estimate_millionths=720_000_000)}
)
_FOUND = FoundMessage(
    id=EXAMPLE_ID, status=Status.SCHEDULED, lane=3, to="27831234567", due_at=1767225600000, tags="promo"
)


@router.get(
    "/batches/{batch}",
    tags=["batches"],
    responses=answer(200, BatchCounts, "messages by state and country", _BATCH) | problems(404),
)
async def count_batch(service: Shared, key: Caller, batch: BatchName) -> Response:
    """Count a batch by state.  This scans all records, so one batch is counted at a time; others get 429."""
    return await service.aside(key.producer, _count, service, key, batch)


def _count(service: Service, key: ApiKey, batch: str) -> Response:
    if not _counting.acquire(blocking=False):
        remedy = "wait for the seconds in Retry-After"
        raise problem.stop(429, "another batch is being counted", headers={"Retry-After": "1"}, remedy=remedy)
    try:
        wanted = find.Filter(batch=batch, producer=whose(key))
        counts, countries = Counter[str](), Countries()
        for one in find.search(service.redis, wanted):
            counts[str(one.status)] += 1
            if one.to:
                countries.add(country(one.to), one.parts, one.estimate_millionths)
    finally:
        _counting.release()
    if not counts:
        raise problem.stop(404, "no message of this batch is known", field="path.batch", remedy="check its name")
    return answered(BatchCounts(counts.total(), dict(sorted(counts.items())), countries.by_cost()))


@router.delete(
    "/batches/{batch}",
    tags=["batches"],
    responses=answer(200, CancelledBatch, "how many were cancelled", CancelledBatch(41, 0, 2, 1)) | problems(),
)
async def cancel_batch(service: Shared, key: Caller, batch: BatchName) -> Response:
    """Cancel all messages of a batch that were not sent yet; those being sent are not retried; safe to repeat."""
    return await service.aside(key.producer, _cancel, service, key, batch)


def _cancel(service: Service, key: ApiKey, batch: str) -> Response:
    counts: Counter[str] = Counter()
    for one in service.producer.cancel_all(batch=batch, producer=changed_by(key)):
        counts[one.answer] += 1
    return answered(
        CancelledBatch(
            counts[CancelResult.CANCELLED],
            counts[CancelResult.ASKED],
            counts[CancelResult.TOO_LATE],
            counts[CancelResult.NOT_RETRIED],
        )
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


def changed_by(key: ApiKey) -> str:
    """Return the producer whose messages a key may change; empty for all."""
    return "" if key.operator else key.producer
