"""Batches: how far each is; pause, resume and cancel one; its report as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from threelane.contract.fields import LABEL
from threelane.interfaces.api import batches as api
from threelane.interfaces.api.batches import ListCursor
from threelane.interfaces.api.problem import stop
from threelane.interfaces.api.service import Service
from threelane.interfaces.console.gate import ChangingForm, CurrentVisit, Visit
from threelane.interfaces.console.page import HOME, PageRoute, credits, span
from threelane.producer.http.values import BatchProgress
from threelane.store import batches
from threelane.store.batches import Batch, Place

router = APIRouter(prefix="/console/batches", include_in_schema=False, route_class=PageRoute)
LIST = f"{HOME}/batches"
MOST = 50
NOTHING = "nothing left to cancel"
Digest = Annotated[str, Path(pattern="^[0-9a-f]{40}$")]
Producer = Annotated[str, Query(max_length=64, pattern=f"^({LABEL.pattern})?$")]


@router.get("")
async def console_batches(visit: CurrentVisit, producer: Producer = "", cursor: ListCursor = "0") -> Response:
    """Show batches, the latest first."""

    def show() -> Response:
        at, _, digest = cursor.partition("-")
        after = Place(int(at), digest) if digest else None
        page = api.listed(visit.service, producer or None, MOST, after)
        rest = "" if page.cursor == "0" else page.cursor
        shown = {"found": page.batches, "cursor": rest, "is_first": after is None}
        return visit.show("batches.html", tab="batches", producer=producer, **shown)

    return await visit.service.aside(_holder(visit), show)


@router.get("/{digest:digest}")
async def console_batch(request: Request, visit: CurrentVisit, digest: Digest) -> Response:
    """Show how far a batch is."""

    def show(one: Batch) -> Response:
        found = api.current(visit.service, one)
        shown = {"one": one, "found": found, "money": list(_amounts(found)), "counts": list(_counts(found))}
        return visit.show("batch.html", tab="batches", address=f"{LIST}/{digest}", **shown)

    return await _with_rows(request, visit, digest, show)


@router.get("/{digest:digest}/report")
async def console_batch_report(request: Request, visit: CurrentVisit, digest: Digest) -> Response:
    """Return the report of a batch as a file, with its numbers masked."""
    return await api.report(request, visit.service, _holder(visit), await _known(visit, digest))


@router.post("/{digest:digest}/pause")
async def console_pause_batch(request: Request, form: ChangingForm, digest: Digest) -> Response:
    """Pause a batch."""

    def pause(one: Batch) -> Response:
        done = api.pause(form.visit.service, one, _name(form.visit))
        notice = f"Paused; {done.messages:,} messages put aside now."
        return form.visit.done("batch_paused", notice, f"{LIST}/{digest}", messages=done.messages)

    return await _with_rows(request, form.visit, digest, pause)


@router.post("/{digest:digest}/resume")
async def console_resume_batch(request: Request, form: ChangingForm, digest: Digest) -> Response:
    """Resume a batch."""

    def resume(one: Batch) -> Response:
        done = api.resume(form.visit.service, one, _name(form.visit))
        notice = f"Resumed; {done.messages:,} messages go back to their lanes, or wait for their time."
        return form.visit.done("batch_resumed", notice, f"{LIST}/{digest}", messages=done.messages)

    return await _with_rows(request, form.visit, digest, resume)


@router.post("/{digest:digest}/cancel")
async def console_cancel_batch(request: Request, form: ChangingForm, digest: Digest) -> Response:
    """Cancel all messages of a batch that have not ended."""

    def cancel(one: Batch) -> Response:
        done = api.cancel(form.visit.service, one, _name(form.visit))
        counts = {
            "cancelled": done.cancelled,
            "requested at the gateway": done.asked,
            "not retried": done.not_retried,
            "too late": done.too_late,
        }
        notice = ", ".join(f"{number:,} {label}" for label, number in counts.items() if number) or NOTHING
        return form.visit.done("batch_cancelled", f"{notice}.", f"{LIST}/{digest}", cancelled=done.cancelled)

    return await _with_rows(request, form.visit, digest, cancel)


async def _with_rows(request: Request, visit: Visit, digest: str, work: Callable[[Batch], Response]) -> Response:
    """Return what ``work`` returns for a batch, with a place and memory for its rows; ends an unknown one's request."""
    one = await _known(visit, digest)
    await api.hold_memory(request, visit.service, _holder(visit), api.row_octets(one))
    return await visit.service.aside(_holder(visit), work, one)


async def _known(visit: Visit, digest: str) -> Batch:
    """Return a batch; ends the request if it is unknown."""
    one = await visit.service.aside(_holder(visit), _find, visit.service, digest)
    if one is None:
        raise stop(404, "this batch is unknown, or past its retention", remedy="start from the list of batches")
    return one


def _find(service: Service, digest: str) -> Batch | None:
    return batches.by_digest(service.redis, digest)


def _holder(visit: Visit) -> str:
    return visit.session.key.producer


def _name(visit: Visit) -> str:
    return api.name_of(visit.session.key)


def _counts(found: BatchProgress) -> Iterator[tuple[str, int]]:
    """Yield the lines about its messages; of the rarer ones those that are not 0."""
    for label, number in (
        ("Accepted", found.accepted),
        ("Waiting", found.waiting),
        ("Paused", found.paused),
        ("Being sent", found.sending),
        ("In doubt", found.in_doubt),
        ("Sent, without a receipt so far", found.sent),
        ("Delivered", found.delivered),
        ("Failed", sum(found.failed.values())),
        ("Cancelled", found.cancelled),
        ("Not on the allow-list", found.emulated),
        ("Outcome forgotten", found.forgotten),
    ):
        if number or label in ("Accepted", "Waiting", "Delivered", "Failed"):
            yield label, number


def _amounts(found: BatchProgress) -> Iterator[tuple[str, str]]:
    yield "Credits so far", credits(found.cost_so_far)
    yield "Credits to come, about", credits(found.cost_to_come)
    if found.waiting or found.paused or found.sending:
        hours = found.hours_left
        yield "Time left, about", "unknown: no worker reports its rate" if hours is None else span(hours * 3600)
