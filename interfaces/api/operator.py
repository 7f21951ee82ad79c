"""Operator: holds, dead letters and search, for keys with the right ``operator``; ``viewer`` is enough to read."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from threelane.contract import schedule
from threelane.contract.message_id import PATTERN
from threelane.contract.refusal import Code, Refusal
from threelane.interfaces.api import criteria, describe, visible_to
from threelane.interfaces.api.body import Single, answered
from threelane.interfaces.api.caller import Operator, Viewer
from threelane.interfaces.api.describe import EXAMPLE_ID, answer, answers, problems
from threelane.interfaces.api.messages import MessageId
from threelane.interfaces.api.problem import read, stop
from threelane.interfaces.api.service import Service, Shared
from threelane.interfaces.api.spaces import space_named
from threelane.interfaces.api.story import EXAMPLE, story
from threelane.operations.explain import Story
from threelane.store import find
from threelane.store.api_key import ApiKey
from threelane.store.find import Filter, FoundMessage
from threelane.store.keys import HERE, Space
from threelane.store.spaces import spaces
from threelane.store.states import Status
from threelane.worker.account import hold
from threelane.worker.dead import redrive
from threelane.worker.dead.redrive import Plan, Redriven

MOST = 1_000  # rows of an answer, ids of a request
router = APIRouter(tags=["operators"])
Rows = Annotated[int, Query(ge=1, le=MOST)]
Scope = Annotated[
    str,
    Path(
        description="account, lane:1, sender:ACME, sender:ACME:GB, prefix:2783123 or gateway",
        examples=["account"],
        max_length=80,
    ),
]


class ActiveHold(msgspec.Struct, frozen=True):
    """A hold, its cause and its evidence; times are milliseconds of Unix time.

    ``until`` is 0 when it has no end time.  ``inferred``: from codes of single messages; lane 1 ignores it, and at
    ``next_probe_at`` one message may test it.  ``account`` is absent for the default account.
    """

    scope: str
    code: str
    cause: str
    since: int
    until: int
    inferred: bool = False
    next_probe_at: int = 0
    evidence: hold.Evidence | None = None
    account: str | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, scope: str, one: hold.Held, space: Space = HERE) -> ActiveHold:
        """Return a hold in force as this API shows it."""
        inferred, probe_at = hold.is_inferred(scope, one), hold.next_probe_at(scope, one)
        account = space.account or msgspec.UNSET
        return cls(scope, one.code, one.cause, one.since, one.until, inferred, probe_at, one.evidence, account)


class HoldRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to put on hold, the cause, and the end (ISO 8601 with a zone; empty: until it is resumed).

    ``account`` is the account at the gateway; empty: the default one.
    """

    scope: str
    cause: str
    until: str = ""
    account: str = ""


class Resumed(msgspec.Struct, frozen=True):
    """A hold that was lifted."""

    scope: str


class SearchRequest(Filter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to search for; an empty value matches all."""

    most: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 50


class RedriveRequest(Filter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to redrive: those that match every given field, those of ``ids``, or all.

    ``after`` and ``before`` are times of death, ISO 8601 with a zone; ``dry_run`` returns the plan and changes nothing.
    """

    after: str = ""
    before: str = ""
    ids: Annotated[list[Annotated[str, msgspec.Meta(pattern=f"^{PATTERN}$")]], msgspec.Meta(max_length=MOST)] = (
        msgspec.field(default_factory=list)
    )
    all: bool = False
    dry_run: bool = False


class RedriveResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result: a count of each answer, one answer per message when ids were given, or the plan of a dry run."""

    answers: dict[str, int] = {}
    messages: list[Redriven] = []
    plan: Plan | None = None


VALUES: list[Any] = [FoundMessage, ActiveHold, HoldRequest, RedriveRequest, RedriveResult, Resumed, SearchRequest]
_HELD = ActiveHold("account", "301", "no_credit", 1767225600000, 0)
_DEAD = FoundMessage(
    id=EXAMPLE_ID, status=Status.DEAD, lane=3, to="27831234567", producer="shop", code="105", owner="producer"
)
_PLAN = Plan(messages=40, parts=44, estimate_millionths=35_200_000, expired=2, by_code={"301": 40}, by_lane={3: 40})


@router.get("/holds", responses=answers(200, ActiveHold, "the active holds", _HELD) | problems())
def list_holds(service: Shared, _key: Viewer) -> Response:
    """List the active holds of all accounts, their causes and their evidence."""
    now = service.producer.now()
    each = [(space, hold.holds(service.redis, now, space)) for space in spaces(service.redis)]
    return answered([ActiveHold.of(scope, held[scope], space) for space, held in each for scope in sorted(held)])


@router.post(
    "/holds",
    responses=answer(200, ActiveHold, "the hold", _HELD) | problems(400, 408, 413),
    openapi_extra=describe.body_of(
        HoldRequest, HoldRequest("sender:ACME", "requested by legal", "2031-06-30T14:00:00Z")
    ),
)
def put_on_hold(service: Shared, _key: Operator, body: Single) -> Response:
    """Put the account, a lane, a sender or a prefix on hold; workers stop within a second."""
    wanted, now = read(body, HoldRequest), service.producer.now()
    until, field, space = _instant(wanted.until, "until") or 0, "scope", space_named(service, wanted.account, "account")
    try:
        scope = hold.parse_scope(wanted.scope)
        field = "until" if 0 < until <= now else "cause"
        hold.put(service.redis, scope, wanted.cause, now, until, space)
    except ValueError as wrong:
        raise criteria.wrong_field(field, wrong) from None
    return answered(ActiveHold.of(scope, hold.holds(service.redis, now, space)[scope], space))


@router.delete("/holds/{scope}", responses=answer(200, Resumed, "it is resumed", Resumed("account")) | problems(404))
def resume(service: Shared, _key: Operator, scope: Scope, account: criteria.Account = "") -> Response:
    """Lift a hold, of the default account unless another is given; sending continues where it stopped."""
    space = space_named(service, account, "query.account")
    if not hold.resume(service.redis, scope, service.producer.now(), space):
        raise stop(404, "not on hold", field="path.scope", remedy="see GET /v1/holds")
    return answered(Resumed(scope))


@router.post(
    "/messages/search",
    responses=answers(200, FoundMessage, "matching messages, in any state", _DEAD) | problems(400, 408, 413),
    openapi_extra=describe.body_of(SearchRequest, SearchRequest(batch="newsletter-7", status="dead")),
)
async def search_messages(service: Shared, key: Viewer, body: Single) -> Response:
    """Search the messages of all producers.  Ended messages are in no index, so this may scan all records.

    Without the right ``texts``, the numbers of other producers' messages are masked.
    """
    wanted = read(body, SearchRequest)
    found = await service.aside(key.producer, _search, service, key, wanted)
    return answered(visible_to.messages(key, found))


def _search(service: Service, key: ApiKey, wanted: SearchRequest) -> list[FoundMessage]:
    filtered = criteria.parsed(wanted, service.producer.reading_as(key))
    return list(find.search(service.redis, filtered, wanted.most))


@router.get("/dead-letters", responses=answers(200, FoundMessage, "the oldest first", _DEAD) | problems())
async def list_dead_letters(
    service: Shared,
    key: Viewer,
    code: criteria.Code = "",
    owner: criteria.Owner = "",
    batch: criteria.Batch = "",
    tag: criteria.Tag = "",
    producer: criteria.Producer = "",
    lane: criteria.Lane = 0,
    account: criteria.Account = "",
    after: str = "",
    before: str = "",
    most: Rows = 50,
) -> Response:
    """List dead letters with code, cause and owner; ``after`` and ``before`` are times of death."""
    wanted = criteria.parsed(
        Filter(code=code, owner=owner, batch=batch, tag=tag, producer=producer, lane=lane, account=account)
    )
    since, until = _instant(after, "query.after"), _instant(before, "query.before")
    found = await service.aside(key.producer, lambda: list(find.dead(service.redis, wanted, since or 0, until, most)))
    return answered(visible_to.messages(key, found))


@router.get(
    "/dead-letters/{message_id:message}",
    responses=answer(200, Story, "its history", EXAMPLE) | problems(404),
)
def show_dead_letter(service: Shared, key: Viewer, message_id: MessageId) -> Response:
    """Return the history of a dead letter: which rule decided, and who can fix it."""
    found = story(service, message_id)
    if found.message.status is not Status.DEAD:
        remedy = f"see GET /v1/messages/{message_id}/timeline"
        raise stop(404, f"not a dead letter: it is {found.message.status}", field="id", remedy=remedy, id=message_id)
    return answered(visible_to.story(key, found))


@router.post(
    "/dead-letters/redrive",
    responses=answer(200, RedriveResult, "the result", RedriveResult({"redriven": 40, "expired": 2}))
    | problems(400, 408, 413),
    openapi_extra=describe.body_of(RedriveRequest, RedriveRequest(code="301", dry_run=True)),
)
async def redrive_dead_letters(service: Shared, key: Operator, body: Single) -> Response:
    """Put dead letters back on their lanes, each once even if called again; ``dry_run`` only returns the plan."""
    return await service.aside(key.producer, _redrive, service, key, body)


def _redrive(service: Service, key: ApiKey, body: bytearray) -> Response:
    request = read(body, RedriveRequest)
    wanted, now = criteria.parsed(request, service.producer.reading_as(key)), service.producer.now()
    after, before = _instant(request.after, "after") or 0, _instant(request.before, "before")
    if wanted.status not in ("", Status.DEAD):
        raise criteria.wrong_field("status", ValueError("all dead letters have the state dead; leave it out"))
    if bool(request.ids) == bool(wanted or after or before is not None or request.all):
        raise stop(
            422,
            "exactly one of ids and a filter is needed",
            code=Code.INVALID,
            field="ids",
            remedy="give ids, or a filter: code, owner, batch, tag, to, producer, lane, after, before, all",
        )
    if request.ids:
        return answered(_redriven(service, request, now))
    if request.dry_run:
        return answered(RedriveResult(plan=redrive.plan(service.redis, wanted, now, after, before)))
    counts: Counter[str] = Counter(redriven=0, expired=0)
    lots = redrive.redrive_paced(
        service.redis, service.producer.nudger, wanted, service.producer.now, after=after, before=before
    )
    for lot in lots:
        counts.update(lot)
    return answered(RedriveResult(answers=dict(counts)))


def _redriven(service: Service, request: RedriveRequest, now: int) -> RedriveResult:
    if request.dry_run:
        raise stop(
            422,
            "a dry run does not take ids",
            code=Code.INVALID,
            field="dry_run",
            remedy="leave it out: each id gets its own answer, and a message that is not a dead letter stays unchanged",
        )
    results = redrive.redrive_ids(service.redis, service.producer.nudger, list(dict.fromkeys(request.ids)), now)
    return RedriveResult(answers=dict(Counter(str(one.answer) for one in results)), messages=results)


def _instant(raw: datetime | str, field: str) -> int | None:
    """Return a time in milliseconds, None when it is empty; ends the request when it is invalid."""
    at = schedule.instant(raw, field) if raw else None
    if isinstance(at, Refusal):
        raise stop(422, at.problem, code=at.code, field=field, remedy=at.remedy)
    return at
