"""Intake: the rows of a file are enqueued or rehearsed, a window at a time; each row gets its answer in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

from threelane.contract.errors import Refused
from threelane.contract.refusal import Refusal
from threelane.producer.client import Producer
from threelane.producer.enqueue import WINDOW
from threelane.producer.files.bulk import FileRow
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.rehearse import Rehearsed

T = TypeVar("T")


class Known(msgspec.Struct, frozen=True):
    """The answer to a row that an earlier run of its job has sent: its batch knows the id."""

    id: str
    accepted: bool = True
    repeated: bool = True


def send(producer: Producer, rows: Iterator[FileRow]) -> Iterator[tuple[FileRow, Answer | Known]]:
    """Enqueue rows as their answers are consumed, in order; a yielded row is in Redis."""
    while window := list(islice(rows, WINDOW)):
        try:
            answers = list(producer.send_rows(_valid(window)))
        except Unavailable as away:
            raise _numbered(away, window) from None
        yield from _paired(window, answers)


def rehearse(producer: Producer, rows: Iterator[FileRow]) -> Iterator[tuple[FileRow, Rehearsed | Refused | Known]]:
    """Return the answers and costs that ``send`` would have; nothing is stored and no credits are spent."""
    while window := list(islice(rows, WINDOW)):
        yield from _paired(window, producer.rehearse(_valid(window)))


def _valid(window: Sequence[FileRow]) -> list[Mapping[str, Any]]:
    return [row.content for row in window if not isinstance(row.content, Refusal) and not row.is_known]


def _paired(window: Sequence[FileRow], answers: Iterable[T | Refused]) -> Iterator[tuple[FileRow, T | Refused | Known]]:
    remaining = iter(answers)
    for row in window:
        if isinstance(row.content, Refusal):
            yield row, Refused.from_refusal(row.content)
        elif row.is_known and row.identity:
            yield row, Known(row.identity.id)
        else:
            yield row, next(remaining)


def _numbered(away: Unavailable, window: Sequence[FileRow]) -> Unavailable:
    first, last = window[0].number, window[-1].number
    text = f"{away}. No row from {first} on was accepted."
    if away.unsure or any(answer.accepted for answer in away.answers):
        text = f"{away}. Of rows {first} to {last} some may have been accepted; no later row was."
    return Unavailable(
        text + " Run the same command again: a job with a name sends no row twice.",
        away.answers,
        away.unsure,
        away.retry_after,
        away.owner,
    )
