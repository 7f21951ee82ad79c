"""Find: messages by batch, tag, recipient, producer, lane, client message id, state, code or owner.

There are no search indexes, which would cost memory for every waiting message.  A search reads the index of a state,
500 records in a call, some hundred thousand per second; for ended messages, which are in no index, it scans all
records.  A client message id needs no search, since the id of the message follows from it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Annotated, Any, get_type_hints

import msgspec
import redis
from msgspec import UNSET, Meta, UnsetType

from threelane.contract import phone
from threelane.contract.accounts.account import DEFAULT, parse_name, stored
from threelane.contract.fields import BATCH_NAME, LABEL, batch_name
from threelane.contract.message_id import both, is_id
from threelane.contract.reading import INTERNATIONAL, Reading
from threelane.contract.refusal import Refusal
from threelane.contract.subscriber import spellings
from threelane.store import keys, rows, suppression
from threelane.store.keys import RecordKey, space_of
from threelane.store.readable import NO_HASH, readable, row
from threelane.store.record import Field, Values
from threelane.store.scripts import script
from threelane.store.spaces import spaces
from threelane.store.states import FINAL, Status

BATCH = 500
SLICE = 1_000  # records in a call of a search for ids
MOST_ROUNDS = 10  # of a search for messages to cancel, while workers move them
_MOVING = (Status.SENDING, Status.IN_DOUBT, Status.SCHEDULED, Status.QUEUED, Status.PAUSED)
SHOWN = (
    Field.STATUS,
    Field.LANE,
    Field.TO,
    Field.DUE,
    Field.BATCH,
    Field.TAGS,
    Field.PRODUCER,
    Field.CLIENT,
    Field.ACCEPTED,
    Field.CODE,
    Field.REASON,
    Field.OWNER,
    Field.PARTS,
    Field.ESTIMATE,
    Field.EXPIRES,
    Field.GATEWAY_DUE,
    Field.CANCEL,
    Field.PAUSED,
    Field.ACCOUNT,
)


def _rows(reply: Any) -> list[tuple[int, dict[str, str]]]:
    """Return the position of each match, and what can be read of it."""
    return [(int(position), _shown(values)) for position, *values in reply]


def _shown(values: Sequence[bytes]) -> dict[str, str]:
    return row(SHOWN, [value or None for value in values]) or readable(NO_HASH) or {}


@script(__file__, _rows)
def _find(
    *,
    records: Sequence[RecordKey],
    wanted: Mapping[str, str],
    former: Sequence[str],
    tag: str,
    at_gateway: bool,
    shown: Sequence[str],
) -> None:
    """Find the messages that match; returns the position of each, and its fields ``shown``."""


_NAME = f"^({LABEL.pattern})?$"


class InvalidCriterion(ValueError):
    """An invalid criterion; the text has the problem and the fix."""

    def __init__(self, name: str, problem: str) -> None:
        """Take the name of the criterion and the problem."""
        super().__init__(problem)
        self.name = name


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """The criteria of a search; an empty value matches all.

    The options of commands and the parameters and bodies of the HTTP API are generated from this class.
    """

    batch: Annotated[str, Meta(description="the batch", pattern=f"^({BATCH_NAME})?$")] = ""
    tag: Annotated[str, Meta(description="a tag", pattern=_NAME)] = ""
    to: Annotated[str, Meta(description="the recipient, in international format")] = ""
    producer: Annotated[str, Meta(description="the producer", pattern=_NAME)] = ""
    lane: Annotated[int, Meta(description="the lane: 1, 2 or 3; 0: any", ge=0, le=3)] = 0
    client_message_id: Annotated[str, Meta(description="the client message id", max_length=64)] = ""
    status: Annotated[str, Meta(description="the state", max_length=64)] = ""
    code: Annotated[str, Meta(description="the code, such as 301", max_length=64)] = ""
    owner: Annotated[str, Meta(description="who can fix the cause", max_length=64)] = ""
    account: Annotated[str, Meta(description="the account at the gateway", max_length=64)] = ""

    def __bool__(self) -> bool:
        """Return whether any criterion is set."""
        return any(getattr(self, name) for name in CRITERIA)

    def parsed(self, reading: Reading = INTERNATIONAL) -> Filter:
        """Return a copy with values as records have them; raises InvalidCriterion.

        ``reading`` is how a recipient without + or 00 is read.
        """
        values = {name: getattr(self, name) for name in CRITERIA}
        for name, parse in _PARSERS.items():
            try:
                values[name] = values[name] and parse(values[name], reading)
            except ValueError as wrong:
                raise InvalidCriterion(name, str(wrong)) from None
        return Filter(**values)

    def fields(self) -> dict[str, str]:
        """Return the required values of record fields, without the tag."""
        found: dict[str, str] = {field: str(value) for name, field in _FIELDS.items() if (value := getattr(self, name))}
        return found | ({Field.ACCOUNT: stored(self.account)} if self.account else {})

    def former(self) -> Sequence[str]:
        """Return the former spellings of the recipient, which records of earlier versions have."""
        return spellings(self.to)[1:] if self.to else ()


CRITERIA: dict[str, Meta] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Filter, include_extras=True).items()
}
"""The description and limits of each criterion, by name."""

_FIELDS = {
    "batch": Field.BATCH,
    "to": Field.TO,
    "producer": Field.PRODUCER,
    "lane": Field.LANE,
    "client_message_id": Field.CLIENT,
    "status": Field.STATUS,
    "code": Field.CODE,
    "owner": Field.OWNER,
}
"""The record field of each criterion, except the tag, of which a record may have several, and the account."""


def _state(raw: str, _: Reading) -> Status:
    if raw not in set(Status):
        raise ValueError(f"unknown state; give {' or '.join(Status)}")
    return Status(raw)


def _batch(raw: str, _: Reading) -> str:
    parsed = batch_name(raw, "batch")
    if isinstance(parsed, Refusal):
        raise ValueError(f"{parsed.problem}; {parsed.remedy}")
    return str(parsed)


def _account(raw: str, _: Reading) -> str:
    return raw if raw == DEFAULT else parse_name(raw)


_PARSERS: dict[str, Callable[[str, Reading], str]] = {
    "batch": _batch,
    "to": suppression.parse_number,
    "status": _state,
    "account": _account,
}


class FoundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message; ``due_at`` is milliseconds of Unix time, 0 if it does not wait for a time.

    ``code``, ``reason`` and ``owner`` are of the last failed attempt; ``estimate_millionths`` is the estimated cost in
    millionths of a credit.  ``account`` is absent for the default account.
    """

    id: str
    status: Status
    lane: int
    to: str
    due_at: int = 0
    batch: str = ""
    tags: str = ""
    producer: str = ""
    client_message_id: str = ""
    accepted_at: int = 0
    code: str = ""
    reason: str = ""
    owner: str = ""
    parts: int = 1
    estimate_millionths: int = 0
    expires_at: int = 0
    account: str | UnsetType = UNSET


def scheduled(
    client: redis.Redis, wanted: Filter, after: int = 0, before: int | None = None, most: int | None = None
) -> Iterator[FoundMessage]:
    """Return scheduled messages, the earliest first; ``after`` and ``before`` in milliseconds, ``most`` results."""
    return islice(_of_state(client, Status.SCHEDULED, wanted, after, before), most)


def dead(
    client: redis.Redis, wanted: Filter, after: int = 0, before: int | None = None, most: int | None = None
) -> Iterator[FoundMessage]:
    """Return dead letters from ``after`` to ``before`` (ms), the oldest first."""
    return islice(_of_state(client, Status.DEAD, wanted, after, before), most)


def search(client: redis.Redis, wanted: Filter, most: int | None = None) -> Iterator[FoundMessage]:
    """Return all matches in any state; the oldest first for a state with an index, else unordered."""
    return islice(_search(client, wanted), most)


def term(
    client: redis.Redis, word: str, most: int | None = None, reading: Reading = INTERNATIONAL
) -> Iterator[FoundMessage]:
    """Return the matches of a search word: an id, a recipient, a client message id, a batch or a tag.

    They are tried in this order, until one has matches; ``reading`` is how a number without + or 00 is read.
    """
    word = word.strip()
    if is_id(word) and (found := _matching(client, [word], Filter())):
        yield from found
        return
    numbers = dict.fromkeys((phone.parse(word, "to", reading), phone.parse(word, "to")))  # as typed, and as printed
    meanings = [Filter(to=number) for number in numbers if not isinstance(number, Refusal)]
    meanings += [Filter(client_message_id=word), Filter(batch=word), Filter(tag=word)] if word else []
    for wanted in meanings:
        hits = list(search(client, wanted, most))
        yield from hits
        if hits:
            return


def beginnings(client: redis.Redis, starts: Sequence[str]) -> dict[str, set[str]]:
    """Return the message ids that begin with each of these, two at most: the second shows that a start is ambiguous.

    The starts are in lower case, and match in any case.  One pass over all records for all starts, in slices of
    ``SLICE``, each of which holds Redis for about 0.3 ms.
    """
    found: dict[str, set[str]] = {start: set() for start in starts}
    if not found:
        return found
    alike = zip(*starts, strict=False)  # the letters at each place, as far as the shortest start goes
    pattern = "".join(f"[{''.join(sorted({*letters, *map(str.upper, letters)}))}]" for letters in alike)
    skipped = len(keys.record(""))
    for name in client.scan_iter(match=keys.record(f"{pattern}*"), count=SLICE):
        one = rows.text(name)[skipped:]
        for start, ids in found.items():
            if len(ids) < 2 and one.lower().startswith(start):
                ids.add(one)
        if all(len(ids) == 2 for ids in found.values()):
            break
    return found


def cancellable(client: redis.Redis, wanted: Filter) -> Iterator[Sequence[str]]:
    """Return the ids of cancellable messages, in batches: all that may still be sent, dead, or held by the gateway.

    A message that workers move during the search is found by the next round.  Messages that are accepted during the
    search may be missed.
    """
    for _ in range(MOST_ROUNDS):
        found = 0
        for ids in _cancellable_in(client, wanted, _MOVING):
            found += len(ids)
            yield ids
        if not found:
            break
    yield from _cancellable_in(client, wanted, (Status.DEAD, Status.SENT))


def _cancellable_in(client: redis.Redis, wanted: Filter, states: Sequence[Status]) -> Iterator[Sequence[str]]:
    for status in states:
        for index in _indexes(client, status, wanted):
            batch: set[str] = set()  # a scan may return an id twice, even after its message was cancelled
            for member, _ in client.zscan_iter(index, count=BATCH):
                batch.update(rows.ids([member]))
                if len(batch) == BATCH:
                    yield _ids(client, sorted(batch), wanted, status)
                    batch = set()
            if batch:
                yield _ids(client, sorted(batch), wanted, status)


def matching(client: redis.Redis, ids: Sequence[str], wanted: Filter) -> Iterator[list[FoundMessage]]:
    """Return the matches among these messages, in their order and in batches."""
    for start in range(0, len(ids), BATCH):
        yield _matching(client, ids[start : start + BATCH], wanted)


def _search(client: redis.Redis, wanted: Filter) -> Iterator[FoundMessage]:
    if wanted.client_message_id:
        by_id = [one for name in _names(client, wanted) for one in both(name, wanted.client_message_id)]
        if found := _matching(client, by_id, wanted):
            yield from found
            return
    status = Status(wanted.status) if wanted.status else None
    if status and status not in FINAL:
        yield from _of_state(client, status, wanted, 0, None)
    else:
        yield from _everywhere(client, wanted)


def _names(client: redis.Redis, wanted: Filter) -> Sequence[str]:
    """Return the producers that may have used a client message id: the given one, or all registered and none."""
    return [wanted.producer] if wanted.producer else ["", *map(rows.text, rows.table(client, keys.PRODUCERS))]


def _everywhere(client: redis.Redis, wanted: Filter) -> Iterator[FoundMessage]:
    """Scan all records; a scan may return a record twice."""
    start, seen = len(keys.record("")), set()
    names = client.scan_iter(match=keys.record("*"), count=BATCH)
    while batch := [rows.text(name)[start:] for name in islice(names, BATCH)]:
        for found in _matching(client, batch, wanted):
            if found.id not in seen:
                seen.add(found.id)
                yield found


def _of_state(
    client: redis.Redis, status: Status, wanted: Filter, after: int, before: int | None
) -> Iterator[FoundMessage]:
    """Return the matches in the indexes of a state, by score; an id that moves to another index meanwhile is missed."""
    indexes = _indexes(client, status, wanted)
    by_score = heapq.merge(*(_by_score(client, one, wanted, after, before) for one in indexes), key=itemgetter(0))
    return (found for _, found in by_score)


def _indexes(client: redis.Redis, status: Status, wanted: Filter) -> Sequence[str]:
    """Return the indexes of a state that may have matches; those of earlier versions have all lanes."""
    found: list[str | None] = []
    lane = wanted.lane
    for space in [space_of(stored(wanted.account))] if wanted.account else spaces(client):
        of_lane = (keys.index_of(status, lane, space), keys.names(space).FORMER.get(status)) if lane else ()
        found += of_lane or keys.indexes_of(status, space=space)
    return list(dict.fromkeys(one for one in found if one))


def _by_score(
    client: redis.Redis, index: str, wanted: Filter, after: int, before: int | None
) -> Iterator[tuple[float, FoundMessage]]:
    """Return the matches in an index, each with its score, by score; no member may be removed meanwhile."""
    seen, last = 0, "+inf" if before is None else before
    while True:
        page: Any = client.zrange(index, after, last, byscore=True, offset=seen, num=BATCH, withscores=True)
        scores = {one.decode(): score for one, score in page if rows.is_text(one)}
        yield from ((scores[found.id], found) for found in _matching(client, list(scores), wanted))
        if len(page) < BATCH:
            return
        furthest = int(page[-1][1])  # the next page starts at this score, after the members that were read
        seen = sum(int(due) == furthest for _, due in page) + (seen if furthest == after else 0)
        after = furthest


def _ids(client: redis.Redis, ids: Sequence[str], wanted: Filter, status: Status) -> Sequence[str]:
    found = _matching(client, ids, wanted, at_gateway=status is Status.SENT, unmarked=True)
    return [one.id for one in found if one.status not in FINAL]


def _matching(
    client: redis.Redis, ids: Sequence[str], wanted: Filter, *, at_gateway: bool = False, unmarked: bool = False
) -> list[FoundMessage]:
    """Return the matches among these messages; ``unmarked``: without those that were cancelled during an attempt."""
    if not ids:
        return []
    rows = _find(
        client,
        records=keys.records(ids),
        wanted=wanted.fields(),
        former=wanted.former(),
        tag=wanted.tag,
        at_gateway=at_gateway,
        shown=SHOWN,
    )
    return [
        _found(ids[position - 1], record) for position, record in rows if not (unmarked and record.get(Field.CANCEL))
    ]


def _found(message_id: str, record: Mapping[str, str]) -> FoundMessage:
    values = Values(record)
    text, number = values.text, values.number
    return FoundMessage(
        id=message_id,
        status=Status(text(Field.STATUS)),
        lane=number(Field.LANE),
        to=text(Field.TO),
        due_at=max(number(Field.DUE), number(Field.GATEWAY_DUE)),
        batch=text(Field.BATCH),
        tags=text(Field.TAGS),
        producer=text(Field.PRODUCER),
        client_message_id=text(Field.CLIENT),
        accepted_at=number(Field.ACCEPTED),
        code=text(Field.CODE),
        reason=text(Field.REASON),
        owner=text(Field.OWNER),
        parts=number(Field.PARTS),
        estimate_millionths=number(Field.ESTIMATE),
        expires_at=number(Field.EXPIRES),
        account=text(Field.ACCOUNT) or UNSET,
    )
