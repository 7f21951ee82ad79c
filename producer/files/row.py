"""Row: a row of a file as it is read, how a file is read, and what was noticed about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from threelane.contract.refusal import Refusal
from threelane.producer.files.template import Template

COUNTRY = "country"  # the column by which a row's number is read; no field of a message
EMPTY = "the file is empty: its first row must name the columns, at least to,text"


class InvalidFile(Exception):
    """The file as a whole is invalid; nothing was sent."""


class Identity(NamedTuple):
    """What tells a row of a batch from others: its message id, in our form and in the other, and what it was made of.

    If the batch knows the row by the other, that is its ``id``.
    """

    id: str
    other_id: str
    batch: str
    producer: str
    to: str  # the subscriber
    content: bytes  # empty with a client message id of its own
    times: int  # how many times the content occurred before in the file


class FileRow(NamedTuple):
    """A row of the file: its number (1 is the first after the header), its line, and its content or refusal.

    ``is_known``: its batch has accepted it before.  ``header`` and ``cells`` are those of the file, for the report of
    refused rows.
    """

    number: int
    line: int
    content: Mapping[str, Any] | Refusal
    identity: Identity | None = None
    is_known: bool = False
    header: Sequence[str] = ()
    cells: Sequence[str] = ()


class RawRow(NamedTuple):
    """The cells of a row, its line, and its problems by column; ``refusal`` is that of a row that is not readable."""

    line: int
    cells: Sequence[str]
    problems: Mapping[int, Refusal] = {}
    refusal: Refusal | None = None


class How(NamedTuple):
    """How a file is read, as far as it is given: the rest is recognised.

    ``columns`` are headers by the name of a field or of a placeholder; an empty header means that no column has it.
    """

    template: Template | None = None
    encoding: str = ""
    columns: Mapping[str, str] = {}
    sheet: str = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The placeholders of the text."""
        return self.template.names if self.template else ()


class Noticed(msgspec.Struct):
    """What was noticed while a file was read; complete at the end of its rows."""

    encoding: str = ""
    separator: str = ""
    sheet: str = ""
    read: dict[str, str] = {}  # headers by field or placeholder
    ignored: tuple[str, ...] = ()  # headers
    blank_rows: int = 0
    remarks: list[str] = []

    def clear(self) -> None:
        """Forget it, before the file is read again."""
        self.encoding = self.separator = self.sheet = ""
        self.read, self.ignored, self.blank_rows, self.remarks = {}, (), 0, []
