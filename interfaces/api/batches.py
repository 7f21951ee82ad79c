"""Batches: list, progress, messages, report; pause, resume, cancel.

A key reads and changes the batches of its producer.  A viewer key reads all, an operator key changes all.  A batch of
another producer is unknown to the others, with the same response as one that does not exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from threading import Lock
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from threelane.contract import phone
from threelane.contract.fields import LABEL
from threelane.contract.message_id import octets
from threelane.contract.prices import country
from threelane.contract.refusal import Code
from threelane.interfaces.api import visible_to
from threelane.interfaces.api.batch_names import BatchName
from threelane.interfaces.api.body import answered
from threelane.interfaces.api.caller import Caller, lacking
from threelane.interfaces.api.describe import EXAMPLE_ID, answer, csv_file, problems
from threelane.interfaces.api.fair_share import NoRoom
from threelane.interfaces.api.problem import busy, stop
from threelane.interfaces.api.service import LEASE, Service, Shared
from threelane.operations import batch_changes, batch_report
from threelane.producer.cancel import Cancelled, CancelResult
from threelane.producer.files.countries import Countries, CountryCost
from threelane.producer.http.values import (
    BatchMessages,
    BatchPage,
    BatchProgress,
    CancelledBatch,
    CancelResults,
    ListedBatch,
)
from threelane.producer.pause import PauseResult
from threelane.store import batches, find, pauses, progress
from threelane.store.api_key import ApiKey
from threelane.store.batches import Batch, Place
from threelane.store.find import Filter, FoundMessage
from threelane.store.outcome import BatchMessage
from threelane.store.states import FINAL, Status

router = APIRouter(tags=["batches"])
ROW_OCTETS = 150  # of a row's id in memory, while the rows of its batch are read
MOST_ROWS = 1_000  # that a report reads at once
PAGE = 5_000  # rows of a page, about
PAGE_OCTETS = 1_000  # of each, with its JSON
MOST_LOOKED_AT = 10_000  # batches among which a name without its producer is looked for
_counting = Lock()

OfProducer = Annotated[
    str | None,
    Query(
        description="its producer, for viewer and operator keys; without it, the key's own, or the only one with a "
        "batch of this name",
        max_length=64,
        pattern=f"^({LABEL.pattern})?$",
    ),
]
Cursor = Annotated[
    str, Query(description="of the page before; 0 for the first one", pattern="^(0|[1-9][0-9]{0,18})$", examples=["0"])
]
ListCursor = Annotated[
    str, Query(description="of the page before; 0 for the first one", pattern="^(0|[0-9]{1,15}-[0-9a-f]{40})$")
]
Most = Annotated[int, Query(ge=1, le=1000)]

_ROW = ListedBatch(
    producer="shop", name="newsletter-7", started=1767225600000, last_accepted=1767225660000, accepted=900,
    ends=1775001660000,
)  # fmt: skip
_BATCH = Batch(**{name: getattr(_ROW, name) for name in Batch.__struct_fields__})
_PROGRESS = BatchProgress(
    batch=_BATCH, accepted=900, sent=60, delivered=840, parts=900, cost_so_far=720_000_000, hours_left=0.0,
    states={"delivered": 840, "sent": 60}, total=900, by_status={"delivered": 840, "sent": 60},
    by_country={"ZA": CountryCost(messages=900, parts=900, estimate_millionths=720_000_000)},
)  # fmt: skip
_MESSAGE = BatchMessage(
    id=EXAMPLE_ID, status=Status.DELIVERED, lane=3, to="27831234567", accepted_at=1767225600000,
    sent_at=1767225600120, ended_at=1767225604000, code="004", estimate_millionths=800_000, charge_millionths=800_000,
)  # fmt: skip
_PAUSED = PauseResult(messages=41, since=1767225600000, by="key k4f1c09a2b7e3 of shop")
_CANCELLED = CancelResults(cancelled=41, asked=0, too_late=2, not_retried=1)
_CSV = batch_report.head() + batch_report.rows([_MESSAGE], full=False)


@router.get("/batches", responses=answer(200, BatchPage, "the latest first", BatchPage([_ROW], "0")) | problems())
async def list_batches(
    service: Shared, key: Caller, producer: OfProducer = None, cursor: ListCursor = "0", most: Most = 50
) -> Response:
    """List the batches of this key's producer; a viewer or operator key sees those of all, or of ``producer``."""
    whose = key.producer if not key.may_view else producer
    if producer not in (None, key.producer) and not key.may_view:
        return answered(BatchPage([], "0"))
    at, _, digest = cursor.partition("-")
    after = Place(int(at), digest) if digest else None
    return answered(await service.aside(key.producer, listed, service, whose, most, after))


def listed(service: Service, producer: str | None, most: int, after: Place | None = None) -> BatchPage:
    """Return a page of batches with their pauses."""
    found = batches.page(service.redis, producer, most, after)
    since = pauses.since(service.redis, [(one.producer, one.name) for one in found.batches])
    shown = [
        ListedBatch(**msgspec.structs.asdict(one), paused_since=at)
        for one, at in zip(found.batches, since, strict=True)
    ]
    return BatchPage(shown, f"{found.after.at}-{found.after.digest}" if found.after else "0")


@router.get(
    "/batches/{batch:batch}/report",
    response_class=StreamingResponse,
    responses=csv_file("a line for each message, unordered; numbers are masked unless ``full``", _CSV) | problems(404),
)
async def report_batch(
    request: Request, service: Shared, key: Caller, batch: BatchName, producer: OfProducer = None, full: bool = False
) -> Response:
    """Return a CSV with a line for each message: state, cause, cost and times.

    Numbers are masked, since a report is passed on; ``full`` writes whole numbers, for a key that may read them.
    """
    one = await service.aside(key.producer, known, service, key, batch, producer)
    if full and not visible_to.reads_numbers_of(key, one.producer):
        raise lacking("texts", "--texts")
    return await report(request, service, key.producer, one, full=full)


async def report(request: Request, service: Service, holder: str, one: Batch, *, full: bool = False) -> Response:
    """Return the report of a batch, as an attachment that is read while it is sent.

    It has a place only while it reads, so that a slow reader takes none.
    """
    if not one.ends:
        detail = f"the rows of this batch are forgotten; it had {one.accepted:,} messages"
        raise stop(404, detail, field="path.batch", remedy="its name and their number are in GET /v1/batches")
    await hold_memory(request, service, holder, row_octets(one))
    found = progress.messages(service.redis, one.producer, one.name)

    def lines() -> str:
        return batch_report.rows(islice(found, MOST_ROWS), full=full)

    first = await service.aside(holder, lines)

    async def slices() -> AsyncIterator[str]:
        yield batch_report.head()
        text = first
        while text:
            yield text
            text = await service.aside(holder, lines)

    headers = {"Content-Disposition": f"attachment; filename=\"batch.csv\"; filename*=UTF-8''{_file_name(one)}.csv"}
    return StreamingResponse(slices(), media_type="text/csv", headers=headers)


def _file_name(one: Batch) -> str:
    """Return a batch's name for a header, without what no file system takes."""
    return quote("".join("_" if each in '/\\:*?"<>|' else each for each in one.name[:100]), safe="")


@router.get(
    "/batches/{batch:batch}/messages",
    responses=answer(200, BatchMessages, "some messages, unordered", BatchMessages([_MESSAGE], "0")) | problems(404),
)
async def list_batch_messages(
    request: Request, service: Shared, key: Caller, batch: BatchName, producer: OfProducer = None, cursor: Cursor = "0"
) -> Response:
    """Return messages of a batch with their outcomes, some thousand a page; follow ``cursor`` until it is 0.

    Without the right ``texts``, the numbers of other producers' messages are masked.
    """
    one = await service.aside(key.producer, known, service, key, batch, producer)
    await hold_memory(request, service, key.producer, min(one.accepted, PAGE) * PAGE_OCTETS)
    after, found = await service.aside(key.producer, progress.page, service.redis, one.digest, int(cursor), PAGE)
    if not visible_to.reads_numbers_of(key, one.producer):
        found = [msgspec.structs.replace(each, to=phone.mask(each.to)) for each in found]
    return answered(BatchMessages([*visible_to.without_accounts(key, found)], str(after)))


@router.get(
    "/batches/{batch:batch}",
    responses=answer(200, BatchProgress, "its messages by state, cause, cost and country", _PROGRESS) | problems(404),
)
async def batch_progress(
    request: Request, service: Shared, key: Caller, batch: BatchName, producer: OfProducer = None
) -> Response:
    """Return how far a batch is; reads the batch's own messages only.

    A batch that only processes of earlier versions sent is counted by scanning all records, one such request at a
    time; others get 429.
    """
    one = await service.aside(key.producer, lookup, service, key, batch, producer)
    if one is None:
        return answered(await service.aside(key.producer, _scanned, service, key, batch, producer))
    await hold_memory(request, service, key.producer, row_octets(one))
    return answered(await service.aside(key.producer, current, service, one))


def current(service: Service, one: Batch) -> BatchProgress:
    """Return how far a batch is now."""
    return _progress(service, one, progress.messages(service.redis, one.producer, one.name))


def _progress(service: Service, one: Batch, found: Iterator[BatchMessage]) -> BatchProgress:
    countries = Countries()

    def counted() -> Iterator[BatchMessage]:
        for each in found:
            if each.to:
                countries.add(country(each.to), each.parts, each.estimate_millionths)
            yield each

    made = progress.of(service.redis, one, counted(), service.producer.now())
    more = {name: getattr(made, name) for name in type(made).__struct_fields__}
    states = dict(made.states)
    return BatchProgress(**more, total=sum(states.values()), by_status=states, by_country=countries.by_cost())


def _scanned(service: Service, key: ApiKey, name: str, producer: str | None) -> BatchProgress:
    """Return the progress of a batch that is not listed, by all records; ends the request if there is none."""
    with _one_scan():
        first, found = _of_records(service, key, name, producer)
        return _progress(service, _unlisted(first, 0), map(_as_listed, found))


@contextmanager
def _one_scan() -> Iterator[None]:
    """End a request that scans all records while another one does."""
    if not _counting.acquire(blocking=False):
        remedy = "wait for the seconds in Retry-After"
        raise stop(429, "another batch is being counted", headers={"Retry-After": "1"}, remedy=remedy)
    try:
        yield
    finally:
        _counting.release()


def _of_records(
    service: Service, key: ApiKey, name: str, producer: str | None
) -> tuple[FoundMessage, Iterator[FoundMessage]]:
    """Return the first and all messages of a batch that is not listed, by the rules of ``lookup``; ends the request."""
    whose = key.producer if producer is None else producer
    if whose != key.producer and not key.may_view:
        unknown()
    of_whose = find.search(service.redis, Filter(batch=name, producer=whose))
    own: Iterator[FoundMessage] = (one for one in of_whose if one.producer == whose)
    first = next(own, None)
    if first is None and producer is None and key.may_view:
        own = _of_one_producer(find.search(service.redis, Filter(batch=name)))
        first = next(own, None)
    return (first, chain([first], own)) if first else unknown()


def _of_one_producer(found: Iterator[FoundMessage]) -> Iterator[FoundMessage]:
    """Yield messages of one producer; ends the request at one of another producer."""
    first = next(found, None)
    for one in chain([first] if first else [], found):
        if first and one.producer != first.producer:
            ambiguous([first.producer, one.producer])
        yield one


def _unlisted(first: FoundMessage, accepted: int) -> Batch:
    return Batch(producer=first.producer, name=first.batch, started=0, last_accepted=0, accepted=accepted, ends=0)


def _as_listed(one: FoundMessage) -> BatchMessage:
    names = ("id", "status", "lane", "to", "parts", "accepted_at", "due_at", "code", "reason", "estimate_millionths")
    return BatchMessage(**{name: getattr(one, name) for name in names})


@router.post(
    "/batches/{batch:batch}/pause",
    responses=answer(200, PauseResult, "it is paused; since when, and how many were put aside now", _PAUSED)
    | problems(404),
)
async def pause_batch(
    request: Request, service: Shared, key: Caller, batch: BatchName, producer: OfProducer = None
) -> Response:
    """Pause a batch: nothing of it is sent until it is resumed; attempts in progress go on; safe to repeat."""
    one = await service.aside(key.producer, changeable, service, key, batch, producer)
    await hold_memory(request, service, key.producer, row_octets(one))
    return answered(await service.aside(key.producer, pause, service, one, name_of(key)))


def pause(service: Service, one: Batch, who: str) -> PauseResult:
    """Pause a batch; the audit names who did."""
    return batch_changes.pause(service.redis, one, service.producer.now(), who)


@router.post(
    "/batches/{batch:batch}/resume",
    responses=answer(200, PauseResult, "it is not paused; how many went back now, and its former pause", _PAUSED)
    | problems(404),
)
async def resume_batch(service: Shared, key: Caller, batch: BatchName, producer: OfProducer = None) -> Response:
    """Resume a batch: its messages go back to their lanes, or wait for their time again; safe to repeat."""
    one = await service.aside(key.producer, changeable, service, key, batch, producer)
    return answered(await service.aside(key.producer, resume, service, one, name_of(key)))


def resume(service: Service, one: Batch, who: str) -> PauseResult:
    """Resume a batch; the audit names who did."""
    return batch_changes.resume(service.redis, service.producer.nudger, one, service.producer.now(), who)


@router.post(
    "/batches/{batch:batch}/cancel",
    responses=answer(200, CancelResults, "how many were cancelled", _CANCELLED) | problems(404),
)
async def cancel_batch_messages(
    request: Request,
    service: Shared,
    key: Caller,
    batch: BatchName,
    producer: OfProducer = None,
    cursor: Annotated[Cursor | None, Query(description="cancel a page, from this cursor, and list each result")] = None,
) -> Response:
    """Cancel all messages of a batch that have not ended; those being sent are not retried; safe to repeat."""
    one = await service.aside(key.producer, changeable, service, key, batch, producer)
    if cursor is not None:
        await hold_memory(request, service, key.producer, min(one.accepted, PAGE) * PAGE_OCTETS)
        return answered(await service.aside(key.producer, _cancel_page, service, one, name_of(key), int(cursor)))
    await hold_memory(request, service, key.producer, row_octets(one))
    return answered(await service.aside(key.producer, cancel, service, one, name_of(key)))


def cancel(service: Service, one: Batch, who: str, *, unlisted: bool = False) -> CancelResults:
    """Cancel a batch; the audit names who did.  ``unlisted``: also messages that it does not list, by a scan."""
    batch_changes.note_cancel(service.redis, one, who)
    counts: Counter[str] = Counter()
    found = progress.cancellable(service.redis, one.producer, one.name)
    for ids in _with_unlisted(service, one, found) if unlisted else found:
        counts.update(each.answer for each in service.producer.cancel(ids))
    return _results(counts)


def _cancel_page(service: Service, one: Batch, who: str, cursor: int) -> CancelResults:
    if not cursor:
        batch_changes.note_cancel(service.redis, one, who)
    after, found = progress.page(service.redis, one.digest, cursor, PAGE)
    done = service.producer.cancel([each.id for each in found if each.status and each.status not in FINAL])
    return _results(Counter(each.answer for each in done), done, str(after))


def _results(counts: Counter[Any], messages: list[Cancelled] | None = None, cursor: str = "0") -> CancelResults:
    return CancelResults(
        cancelled=counts[CancelResult.CANCELLED],
        asked=counts[CancelResult.ASKED],
        too_late=counts[CancelResult.TOO_LATE],
        not_retried=counts[CancelResult.NOT_RETRIED],
        unknown=counts[CancelResult.UNKNOWN],
        messages=messages or [],
        cursor=cursor,
    )


@router.delete(
    "/batches/{batch:batch}",
    responses=answer(200, CancelledBatch, "how many were cancelled", CancelledBatch(41, 0, 2, 1)) | problems(404),
)
async def cancel_batch(
    request: Request, service: Shared, key: Caller, batch: BatchName, producer: OfProducer = None
) -> Response:
    """Cancel as POST /v1/batches/{batch}/cancel does, and also messages that processes of earlier versions accepted.

    This scans all waiting messages: prefer POST.
    """
    one = await service.aside(key.producer, lookup, service, key, batch, producer)
    if one is None:
        one = await service.aside(key.producer, _counted, service, key, batch, producer)
    require_change(key, one)
    await hold_memory(request, service, key.producer, 2 * row_octets(one))
    done = await service.aside(key.producer, partial(cancel, service, one, name_of(key), unlisted=True))
    return answered(CancelledBatch(done.cancelled, done.asked, done.too_late, done.not_retried))


def _counted(service: Service, key: ApiKey, name: str, producer: str | None) -> Batch:
    """Return a batch that is not listed, with the number of its records; ends the request if there is none."""
    with _one_scan():
        first, found = _of_records(service, key, name, producer)
        return _unlisted(first, sum(1 for _ in found))


def _with_unlisted(service: Service, one: Batch, listed: Iterator[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Yield the ids that a batch lists, then those of its other messages in the indexes of all waiting messages."""
    seen = set[bytes]()
    for ids in listed:
        seen.update(map(octets, ids))
        yield ids
    for ids in find.cancellable(service.redis, Filter(batch=one.name, producer=one.producer)):
        new = [each for each in ids if octets(each) not in seen]
        for found in find.matching(service.redis, new, Filter(batch=one.name)):  # no producer matches all of them
            yield [each.id for each in found if each.producer == one.producer]


def lookup(service: Service, key: ApiKey, name: str, producer: str | None) -> Batch | None:
    """Return the batch that a key means, if it may see it; None if it is unknown to this key."""
    whose = key.producer if producer is None else producer
    if whose != key.producer and not key.may_view:
        return None
    one = batches.find(service.redis, whose, name)
    if one or producer is not None or not key.may_view:
        return one
    recent = islice(batches.listed(service.redis), MOST_LOOKED_AT)
    others = [each for each in recent if each.name == name]
    if len(others) > 1:
        ambiguous([each.producer for each in others])
    return others[0] if others else None


def ambiguous(producers: Sequence[str]) -> NoReturn:
    """End a request for a name that batches of several producers have."""
    detail = f"batches of several producers have this name: {', '.join(each or '-' for each in producers)}"
    raise stop(422, detail, code=Code.INVALID, field="query.producer", remedy="name one of them")


def known(service: Service, key: ApiKey, name: str, producer: str | None) -> Batch:
    """Return the batch that a key means; ends the request if it is unknown to this key."""
    return lookup(service, key, name, producer) or unknown()


def changeable(service: Service, key: ApiKey, name: str, producer: str | None) -> Batch:
    """Return a batch that the key may change: a viewer only reads those of other producers."""
    one = known(service, key, name, producer)
    require_change(key, one)
    return one


def require_change(key: ApiKey, one: Batch) -> None:
    """End a request of a viewer that would change a batch of another producer."""
    if not (key.operator or one.producer == key.producer):
        raise lacking("operator", "--operator")


def unknown() -> NoReturn:
    """End a request for a batch that does not exist, or that its key may not see."""
    remedy = "check its name: GET /v1/batches"
    raise stop(404, "no message of this batch is known", field="path.batch", remedy=remedy)


def row_octets(one: Batch) -> int:
    """Return the memory that the ids of a batch take while they are read."""
    return ROW_OCTETS * (one.accepted + MOST_ROWS)


async def hold_memory(request: Request, service: Service, holder: str, octets: int) -> None:
    """Hold memory for the rows of a batch, of the producer's share, until the response is sent."""
    lease = service.list_memory.lease(holder)
    request.scope[LEASE] = lease
    try:
        await lease.resize(octets, service.settings.api_wait_seconds)
    except NoRoom:
        raise busy(
            "other requests use the memory for batches",
            "retry after the seconds in Retry-After, or use threelane batch",
        ) from None


def name_of(key: ApiKey) -> str:
    """Return a key as the audit and pauses name it."""
    return f"key {key.id} of {key.producer}"
