"""Past: which rows of a file were accepted before, as the batches of these rows and earlier versions know it."""

from __future__ import annotations

from base64 import b32encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import count, islice

import msgspec
import redis

from threelane.contract import message
from threelane.contract.errors import Refused
from threelane.contract.message import identify
from threelane.contract.refusal import Code, Refusal
from threelane.producer.client import Producer
from threelane.producer.enqueue import WINDOW
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.identity import CONTENT, content_key
from threelane.store import batches, keys
from threelane.store.record import Field

_FIELDS = (Field.STATUS, Field.BODY)


class Earlier(msgspec.Struct):
    """What a version before content identities accepted for a job: how often each content, and for whom."""

    times: dict[bytes, int] = {}
    subscribers: dict[bytes, str] = {}


def read_earlier(client: redis.Redis, producer: str, former_job: str, job: str) -> Earlier:
    """Return what an earlier version accepted under the former name of a job, whose rows it knew by number.

    Such rows are known as long as their records, which end the numbers: a whole window without one is the end.
    """
    found = Earlier()
    for start in count(1, WINDOW):
        ids = [identify(producer, _former_id(former_job, number)) for number in range(start, start + WINDOW)]
        with client.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hmget(keys.record(one), _FIELDS)
            records = pipe.execute(raise_on_error=False)
        known = [record for record in records if isinstance(record, list) and record[0] is not None]
        for _, body in known:
            _add(found, job, body)
        if not known:
            return found
    raise AssertionError


def _former_id(job: str, number: int) -> str:
    return b32encode(blake2b(f"{job}\0{number}".encode(), digest_size=10).digest()).decode()


def _add(found: Earlier, job: str, body: bytes | None) -> None:
    try:
        sms = message.decode(body or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return  # erased or damaged: nothing is left to compare
    content = content_key(job, sms.to, {name: getattr(sms, name) for name in ("sender", *CONTENT)})
    found.times[content] = found.times.get(content, 0) + 1
    found.subscribers[content] = sms.to


def with_known(producer: Producer, rows: Iterable[FileRow], earlier: Earlier) -> Iterator[FileRow]:
    """Mark the rows that were accepted before, in one query for each batch of a window.

    A row with a client message id of its own is refused if the message with this id has other content.
    """
    remaining = iter(rows)
    while window := list(islice(remaining, WINDOW)):
        known = _known(producer, window)
        marked = [
            row._replace(is_known=place in known or _is_earlier(row, earlier)) for place, row in enumerate(window)
        ]
        own = [row for row in marked if row.is_known and row.identity and not row.identity.content]
        conflicts = _conflicts(producer, own) if own else {}
        yield from (
            row._replace(content=conflicts[row.number], is_known=False) if row.number in conflicts else row
            for row in marked
        )


def _known(producer: Producer, window: Sequence[FileRow]) -> set[int]:
    """Return the places in a window of rows that their batches know."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(window):
        if row.identity and not isinstance(row.content, Refusal):
            places[row.identity.producer, row.identity.batch].append(place)
    known: set[int] = set()
    for (name, batch), some in places.items():
        ids = [one.id for place in some if (one := window[place].identity)]
        found = producer.query(lambda client: batches.known(client, name, batch, ids))  # noqa: B023
        known.update(place for place, is_known in zip(some, found, strict=True) if is_known)
    return known


def _is_earlier(row: FileRow, earlier: Earlier) -> bool:
    one = row.identity
    return one is not None and one.times < earlier.times.get(one.content, 0)


def _conflicts(producer: Producer, rows: Sequence[FileRow]) -> dict[int, Refusal]:
    """Return the refusals of rows whose client message ids were used for other content."""
    contents = [row.content for row in rows if not isinstance(row.content, Refusal)]
    answers = zip(rows, producer.rehearse(contents), strict=True)
    return {
        row.number: answer.refusal
        for row, answer in answers
        if isinstance(answer, Refused) and answer.code == Code.CONFLICT
    }
