"""Plan: what a run of a job would do, found out before anything is sent: rows that are new, known, changed and gone."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from threelane.contract.refusal import Refusal
from threelane.producer.client import Producer
from threelane.producer.files.bulk import FileRow


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a file against those of its batch: each row of the file is new, known, changed or refused.

    ``gone`` counts the rows of the batch that the file no longer has, without those that a changed row replaces.
    """

    new: int = 0
    known: int = 0
    changed: int = 0
    gone: int = 0
    refused: int = 0


def make_plan(producer: Producer, rows: Iterable[FileRow]) -> Plan:
    """Read all rows, and return what a run would do."""
    rows = list(rows)
    refused = sum(isinstance(row.content, Refusal) for row in rows)
    return Plan(new=len(rows) - refused, refused=refused)
