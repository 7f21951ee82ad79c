"""Earlier: what a version before batches accepted for a job, and which rows of the file these messages are.

It knew a row by its number.  A record keeps the message only until it is sent, then a fingerprint of its content and
its recipient: the row with this fingerprint is that message, wherever it stands in the file now.
"""

from __future__ import annotations

from base64 import b32encode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import redis

from threelane.contract import message
from threelane.contract.message import former_fingerprints
from threelane.contract.message_id import identify
from threelane.contract.refusal import Refusal
from threelane.contract.subscriber import subscriber
from threelane.producer.client import Producer
from threelane.producer.enqueue import WINDOW
from threelane.producer.files.bulk import FileRow, Identity
from threelane.producer.files.identity import CONTENT, content_key
from threelane.producer.files.progress import Progress
from threelane.store import batches, keys
from threelane.store.batches import FormerRow
from threelane.store.readable import row as readable
from threelane.store.record import Field

BEYOND = 10 * WINDOW
"""How many numbers without a message end the search, past the end of the file and of what was found."""
_FIELDS = (Field.TO, Field.PRINT, Field.BODY, Field.BATCH, Field.LANE, Field.TAGS, Field.CENTRE, Field.ACCEPTED)


class Options(NamedTuple):
    """Fields of a message that a record keeps, and that options of the command may have set for all rows."""

    lane: str
    tags: str
    cost_centre: str

    @property
    def fields(self) -> Mapping[str, Any]:
        """Return them by name, as they are parsed."""
        tags = tuple(self.tags.split(",")) if self.tags else ()
        return {"lane": int(self.lane or 3), "tags": tags, "cost_centre": self.cost_centre or None}


class Message(NamedTuple):
    """A message that an earlier version accepted; ``to`` is the subscriber, empty if the person was erased."""

    id: str
    number: int  # of its row
    to: str
    print: str
    content: bytes  # empty after it was sent
    batch: str
    options: Options
    accepted_at: int
    is_listed: bool  # in its batch, by an earlier run of this version


class Messages:
    """The messages that an earlier version accepted for a job and a producer, and the rows that they are."""

    def __init__(self, former_job: str, job: str, found: Sequence[Message], listed: int) -> None:
        """Index them; ``listed`` is how many messages of earlier versions the batch lists, also without a record."""
        self._former_job, self._job = former_job, job
        self.all, self.listed = found, listed
        self._rows: dict[str, str] = {}  # former ids by those of rows
        self._taken: set[str] = set()
        self._alike: dict[tuple[str, str | bytes], list[Message]] = defaultdict(list)
        self._options: dict[str, set[Options]] = defaultdict(set)
        for one in found:
            if one.print:
                self._alike[one.batch, one.print].append(one)
            if one.content:
                self._alike[one.batch, one.content].append(one)
            self._options[one.to].add(one.options)

    def match(self, row: FileRow) -> str:
        """Return the id of the message that a row is, or ""; no two rows are the same message."""
        one = row.identity
        if one is None or not one.content or isinstance(row.content, Refusal) or one.to not in self._options:
            return ""
        if one.id not in self._rows:
            found = next((same for key in self._keys(one, row.content) if (same := self._free(one.batch, key))), "")
            if not found:
                return ""
            self.take(one.id, found)
        return self._rows[one.id]

    def take(self, row_id: str, message_id: str) -> None:
        """Note that a row is this message."""
        self._rows[row_id] = message_id
        self._taken.add(message_id)

    def _free(self, batch: str, key: str | bytes) -> str:
        return next((one.id for one in self._alike.get((batch, key), ()) if one.id not in self._taken), "")

    def _keys(self, one: Identity, content: Mapping[str, Any]) -> Iterator[str | bytes]:
        """Yield what a message with the content of a row may have, from the cheapest."""
        yield one.content
        renamed = {"batch": self._former_job} if one.batch == self._job else {}
        for options in self._options[one.to]:
            yield from former_fingerprints(content, {**renamed, **options.fields})

    @property
    def unmatched(self) -> Iterator[Message]:
        """The messages that no row is, and that the batch does not list."""
        return (one for one in self.all if one.id not in self._taken and not one.is_listed)

    @property
    def rows(self) -> Mapping[str, list[FormerRow]]:
        """All of them by their batch, as it lists them."""
        rows = {former: row for row, former in self._rows.items()}
        found: dict[str, list[FormerRow]] = defaultdict(list)
        for one in self.all:
            found[one.batch].append(FormerRow(one.id, one.to, one.accepted_at, rows.get(one.id, "")))
        return found


class Earlier:
    """What a version before batches accepted for a job, by producer; each is read when a row of it comes."""

    def __init__(self, job: str, former_job: str, most_rows: int, *, is_shared: bool = False) -> None:
        """Take the names of a job, ``former_job`` being empty if it had none; a file has at most so many rows.

        ``is_shared``: files with other names had this former name, too, so only messages that the job's batch lists
        are certainly of this job; ``doubtful`` counts the others while it has no batch.
        """
        self._job, self._former_job, self._most_rows, self._is_shared = job, former_job, most_rows, is_shared
        self.doubtful = 0
        self.found: dict[str, Messages] = {}
        self.own_ids: set[str] = set()  # of rows with client message ids of their own, which had no number

    def of(self, producer: Producer, name: str) -> Messages | None:
        """Return what was accepted for a producer, None for nothing."""
        if not self._former_job:
            return None
        if name not in self.found:
            self.found[name] = producer.query(lambda client: self._read(client, name))
        found = self.found[name]
        return found if found.all or found.listed else None

    def _read(self, client: redis.Redis, name: str) -> Messages:
        """Find the messages by the numbers of rows; rows that were refused have none, so there are gaps."""
        found: list[Message] = []
        is_begun = bool(self._job) and bool(client.hlen(keys.batch_rows(batches.digest(name, self._job))))
        listed, last, start = 0, self._most_rows, 1
        while start <= last + BEYOND:
            numbers = range(start, start + WINDOW)
            ids = [identify(name, _former_id(self._former_job, number)) for number in numbers]
            old = batches.known(client, name, self._job, ids) if is_begun else [False] * len(ids)
            some = self._records(client, numbers, ids, old) if client.exists(*keys.records(ids)) else []
            found += some
            listed += sum(old)
            if some or any(old):
                last = max(last, numbers[-1])
            start = numbers[-1] + 1
        if self._is_shared:
            self.doubtful += 0 if is_begun else len(found)
            found = [one for one in found if one.is_listed]
        return Messages(self._former_job, self._job, found, listed)

    def _records(
        self, client: redis.Redis, numbers: Sequence[int], ids: Sequence[str], listed: Sequence[bool]
    ) -> list[Message]:
        with client.pipeline(transaction=False) as pipe:
            for name in keys.records(ids):
                pipe.hmget(name, _FIELDS)
            replies = pipe.execute(raise_on_error=False)
        found = zip(ids, numbers, replies, listed, strict=True)
        return [
            self._message(one, number, record, is_listed)
            for one, number, reply, is_listed in found
            if (record := readable(_FIELDS, reply)) is not None
        ]

    def _message(self, message_id: str, number: int, record: Mapping[str, str], is_listed: bool) -> Message:
        batch = record.get(Field.BATCH, self._former_job)
        batch = self._job if batch == self._former_job else batch
        return Message(
            id=message_id,
            number=number,
            to=subscriber(record.get(Field.TO, "")),
            print=record.get(Field.PRINT, ""),
            content=_content(batch, record.get(Field.BODY, "")),
            batch=batch,
            options=Options(record.get(Field.LANE, ""), record.get(Field.TAGS, ""), record.get(Field.CENTRE, "")),
            accepted_at=int(record.get(Field.ACCEPTED, "0")),
            is_listed=is_listed,
        )


def incomparable(earlier: Earlier, progress: Progress | None, retention_ms: int, now: int) -> str:
    """Return what cannot be compared with the file, or "" if all that an earlier version accepted can be.

    Messages that their batch lists can: an earlier run compared them.
    """
    groups = [found for found in earlier.found.values() if not found.listed]
    erased = sum(not one.to for found in groups for one in found.unmatched)
    if erased:
        return f"{erased:,} of their messages do not say any more whom they reached, as after an erasure"
    listed = sum(found.listed for found in earlier.found.values())
    if progress and not listed:
        stored = sum(one.number <= progress.rows for found in groups for one in found.all) + len(earlier.own_ids)
        gone = progress.accepted > stored or (not stored and progress.at + retention_ms < now)
        if gone:
            return (
                f"of rows 1 to {progress.rows:,}, which its file {progress.beside} says it processed, only {stored:,} "
                "messages are still stored"
            )
    oldest = min((one.accepted_at for found in groups for one in found.all), default=now)
    if oldest + retention_ms <= now:
        return "some of their messages are so old that others may not be stored any more"
    return ""


def enter(producer: Producer, earlier: Earlier, rows_kept_ms: int) -> None:
    """List what an earlier version accepted in its batches, which know it longer than its records are kept."""
    now = producer.now()
    for name, found in earlier.found.items():
        for batch, rows in found.rows.items():
            producer.query(lambda client: batches.add_former(client, name, batch, rows, rows_kept_ms, now))  # noqa: B023


def _former_id(job: str, number: int) -> str:
    return b32encode(blake2b(f"{job}\0{number}".encode(), digest_size=10).digest()).decode()


def _content(batch: str, body: str) -> bytes:
    try:
        sms = message.decode(body.encode())
    except (msgspec.MsgspecError, UnicodeError):
        return b""  # sent, or damaged
    return content_key(batch, subscriber(sms.to), {name: getattr(sms, name) for name in ("sender", *CONTENT)})
