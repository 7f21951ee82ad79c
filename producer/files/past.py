"""Past: which rows of a file were accepted before, as the batches of these rows and earlier versions know it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import redis

from threelane.contract.errors import Refused
from threelane.contract.refusal import Code, Refusal
from threelane.producer.client import Producer
from threelane.producer.enqueue import WINDOW
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.earlier import Earlier
from threelane.store import batches


def with_known(producer: Producer, rows: Iterable[FileRow], earlier: Earlier) -> Iterator[FileRow]:
    """Mark the rows that were accepted before, in one query for each batch of a window.

    A row with a client message id of its own is refused if the message with this id has other content.
    """
    remaining = iter(rows)
    while window := list(islice(remaining, WINDOW)):
        marked = _marked(producer, window, earlier)
        own = [row for row in marked if row.is_known and row.identity and not row.identity.content]
        conflicts = _conflicts(producer, own) if own else {}
        yield from (
            row._replace(content=conflicts[row.number], is_known=False) if row.number in conflicts else row
            for row in marked
        )


def _marked(producer: Producer, window: Sequence[FileRow], earlier: Earlier) -> list[FileRow]:
    """Return a window of rows, those that were accepted before with the id of their message, in either form."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(window):
        if row.identity and not isinstance(row.content, Refusal):
            places[row.identity.producer, row.identity.batch].append(place)
    marked = list(window)
    for (name, batch), some in places.items():
        ids = [one.id for place in some if (one := window[place].identity)]
        others = [one.other_id for place in some if (one := window[place].identity)]
        accepted = producer.query(lambda client: _accepted(client, name, batch, ids, others))  # noqa: B023
        former = _former(producer, [window[place] for place in some], ids, accepted, earlier)
        for place, accepted_id, former_id in zip(some, accepted, former, strict=True):
            row, one = window[place], window[place].identity
            if one and (known_id := accepted_id or former_id):
                marked[place] = row._replace(is_known=True, identity=one._replace(id=known_id))
    return marked


def _accepted(client: redis.Redis, producer: str, batch: str, ids: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return for each row of a batch the id by which the batch knows it, in either form, or ""."""
    known = batches.known(client, producer, batch, [*ids, *others])
    found = [one if is_known else "" for one, is_known in zip([*ids, *others], known, strict=True)]
    return [one or other for one, other in zip(found[: len(ids)], found[len(ids) :], strict=True)]


def _former(
    producer: Producer, rows: Sequence[FileRow], ids: Sequence[str], accepted: Sequence[str], earlier: Earlier
) -> list[str]:
    """Return for each row of a batch the id under which an earlier version accepted it, or ""."""
    one = rows[0].identity
    found = earlier.of(producer, one.producer) if one else None
    if one is None or found is None:
        return [""] * len(rows)
    earlier.own_ids.update(each.identity.id for each in rows if each.identity and not each.identity.content)
    noted = producer.query(lambda client: batches.former_ids(client, one.producer, one.batch, ids))
    for row_id, former_id in zip(ids, noted, strict=True):
        if former_id:
            found.take(row_id, former_id)
    return [
        "" if accepted_id else former_id or found.match(row)
        for row, accepted_id, former_id in zip(rows, accepted, noted, strict=True)
    ]


def _conflicts(producer: Producer, rows: Sequence[FileRow]) -> dict[int, Refusal]:
    """Return the refusals of rows whose client message ids were used for other content."""
    contents = [row.content for row in rows if not isinstance(row.content, Refusal)]
    answers = zip(rows, producer.rehearse(contents), strict=True)
    return {
        row.number: answer.refusal
        for row, answer in answers
        if isinstance(answer, Refused) and answer.code == Code.CONFLICT
    }
