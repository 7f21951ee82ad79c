"""Plan: what a run of a job would do, found out before anything is sent: rows that are new, known, changed and gone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

import msgspec
import redis
from redis.exceptions import NoPermissionError

from threelane.contract.message_id import octets
from threelane.contract.refusal import Code, Refusal
from threelane.producer.client import Producer
from threelane.producer.files.bulk import FileRow, Identity
from threelane.producer.files.earlier import Earlier
from threelane.store import batches
from threelane.store.batches import Batch


class Forgotten(Exception):
    """The rows of a batch are forgotten, so another run of its job could send them twice; nothing was sent."""

    def __init__(self, batch: Batch) -> None:
        """Keep the batch, which names the job and its times."""
        super().__init__(batch)
        self.batch = batch


class Subscriber(NamedTuple):
    """A person in the batch of a producer, by the tag that the batch keeps."""

    producer: str
    tag: bytes


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a file against those of its batch: each row of the file is new, known, changed or refused.

    A row has changed if it is new, and its subscriber has a row in the batch that the file no longer has; ``replaced``
    are these subscribers.  ``gone`` counts the other rows of the batch that the file no longer has.  ``sent`` is the
    batch as earlier runs left it.  ``is_unread``: this user of Redis may not list the rows of a batch, so
    each new row may be a changed one.  ``places`` are the producers and names of all batches that rows have.
    """

    new: int = 0
    known: int = 0
    changed: int = 0
    gone: int = 0
    refused: int = 0
    replaced: Set[Subscriber] = frozenset()
    sent: Batch | None = None
    is_unread: bool = False
    places: Set[tuple[str, str]] = frozenset()

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in ("new", "known", "changed", "gone", "refused")}


def make_plan(producer: Producer, rows: Iterable[FileRow], job: str, name: str, earlier: Earlier) -> Plan:
    """Read all rows of a job, and return what a run would do; raises Forgotten.

    ``rows`` are marked as known (past.py), ``name`` is the producer of the job, and ``earlier`` what a version that
    knew rows by number has accepted.
    """
    earlier.of(producer, name)
    compared = _Comparison(producer, job, name, earlier)
    kinds: Counter[str] = Counter()
    for row in rows:
        if isinstance(row.content, Refusal):
            kinds["refused"] += 1
            continue
        kinds["known" if row.is_known else "new"] += 1
        compared.add(row)
    replaced, gone = compared.result()
    changed = compared.changed(replaced)
    return Plan(
        new=kinds["new"] - changed,
        known=kinds["known"],
        changed=changed,
        gone=gone,
        refused=kinds["refused"],
        replaced=replaced,
        sent=compared.batch_of(name),
        is_unread=compared.is_unread,
        places=compared.places,
    )


def without_changed(rows: Iterable[FileRow], replaced: Set[Subscriber]) -> Iterator[FileRow]:
    """Refuse the changed rows of a job."""
    for row in rows:
        one = row.identity
        changed = (
            one is not None
            and not row.is_known
            and not isinstance(row.content, Refusal)
            and _subscriber(one) in replaced
        )
        yield row._replace(content=_row_changed(one.batch)) if one and changed else row


class _Comparison:
    """The known rows of a file, and how many new ones each subscriber has, against the batch.

    A known row takes some hundred octets of memory, and so does a new one if the job was run before.
    """

    def __init__(self, producer: Producer, job: str, name: str, earlier: Earlier) -> None:
        self._producer, self._job, self._name, self._earlier = producer, job, name, earlier
        self._batches: dict[str, Batch | None] = {}
        self._known: dict[str, set[bytes]] = defaultdict(set)
        self._new: Counter[Subscriber] = Counter()
        self.is_unread = False
        self.places: set[tuple[str, str]] = set()

    def batch_of(self, name: str) -> Batch | None:
        """Return the job's batch of a producer, as it was before this run; raises Forgotten."""
        if name not in self._batches:
            self._batches[name] = self._producer.query(lambda client: _find(client, name, self._job))
        return self._batches[name]

    def add(self, row: FileRow) -> None:
        """Take a row that is not refused."""
        one = row.identity
        if one is None:
            return
        self.places.add((one.producer, one.batch))
        found = self._earlier.found.get(one.producer)
        is_own = one.batch == self._job  # of another batch only messages of earlier versions are compared
        was_sent = bool(found and found.all) or (is_own and self.batch_of(one.producer) is not None)
        if row.is_known and is_own:
            self._known[one.producer].add(octets(one.id))
        elif was_sent and not row.is_known:
            self._new[_subscriber(one)] += 1

    def result(self) -> tuple[Set[Subscriber], int]:
        """Return the subscribers of changed rows, and how many other rows are gone."""
        replaced: set[Subscriber] = set()
        gone = self._compare(replaced, self._absent_earlier())
        self.batch_of(self._name)
        for name, found in self._batches.items():
            if found and found.accepted > len(self._known[name]):
                gone += self._producer.query(lambda client: self._gone(client, name, found.accepted, replaced))  # noqa: B023
        return replaced, gone

    def changed(self, replaced: Set[Subscriber]) -> int:
        """Return how many rows changed, by their subscribers."""
        return sum(self._new[one] for one in replaced)

    def _gone(self, client: redis.Redis, name: str, accepted: int, replaced: set[Subscriber]) -> int:
        """Compare a batch of which the file lacks rows; without the right to list them each new row may replace one."""
        try:
            return self._compare(replaced, self._absent(client, name))
        except NoPermissionError:
            new = {one for one in self._new if one.producer == name}
            self.is_unread = self.is_unread or bool(new)
            replaced |= new
            return accepted - len(self._known[name])

    def _compare(self, replaced: set[Subscriber], absent: Iterable[Subscriber]) -> int:
        """Add the subscribers whose absent rows a new one replaces; returns how many others are absent."""
        gone = 0
        for one in absent:
            if one in self._new:
                replaced.add(one)
            else:
                gone += 1
        return gone

    def _absent(self, client: redis.Redis, name: str) -> Iterator[Subscriber]:
        """Yield the subscriber of each row of a batch that the file lacks."""
        for message_id, tag in batches.rows(client, name, self._job):
            if octets(message_id) not in self._known[name]:
                yield Subscriber(name, tag)

    def _absent_earlier(self) -> Iterator[Subscriber]:
        for name, found in self._earlier.found.items():
            for one in found.unmatched:
                yield Subscriber(name, batches.subscriber_tag(batches.digest(name, one.batch), one.to))


def _find(client: redis.Redis, producer: str, job: str) -> Batch | None:
    """Return a batch; raises Forgotten if some of its rows are: one of them could be a row of the file."""
    found = batches.find(client, producer, job) if job else None
    left = batches.rows_left(client, found.digest) if found else 0
    if found and (left < found.accepted or not left):
        raise Forgotten(found)
    return msgspec.structs.replace(found, accepted=left) if found else None  # its count may lag behind its rows


def _subscriber(one: Identity) -> Subscriber:
    return Subscriber(one.producer, batches.subscriber_tag(batches.digest(one.producer, one.batch), one.to))


def _row_changed(job: str) -> Refusal:
    return Refusal(
        code=Code.CONFLICT,
        field="row",
        problem=f"row changed: its recipient was in an earlier run of the job {job} with a row that the file lacks now",
        remedy="restore that row or text; send this one, too, with --send-changed; or name a new sending with --run",
    )
