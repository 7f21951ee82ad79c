"""Bulk: a CSV file becomes messages; a bad row is reported by its number and loses no other."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedReader, TextIOWrapper
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from threelane.contract.errors import Refused
from threelane.contract.fields import BY_SPELLING, FIELDS, invalid
from threelane.contract.refusal import Code, Refusal
from threelane.producer.client import Producer
from threelane.producer.enqueue import WINDOW
from threelane.producer.files.template import Template
from threelane.producer.outage import Answer, Unavailable
from threelane.producer.rehearse import Rehearsed

T = TypeVar("T")
MAX_CELL = 10_000_000  # characters; a longer cell means that a quote was never closed


class InvalidFile(Exception):
    """The file cannot be read as messages at all; nothing was sent."""


class FileRow(NamedTuple):
    """A row of the file: its number (1 is the first below the header), its line, and what it says."""

    number: int
    line: int
    content: Mapping[str, Any] | Refusal


def read_csv(file: BufferedReader, template: Template | None = None) -> Iterator[FileRow]:
    """Read rows; the header names the fields as docs/fields.md does, and may begin with a byte order mark.

    With a template the text comes from it, and the header may name the columns that it needs besides.
    """
    csv.field_size_limit(MAX_CELL)
    text = TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _rows(csv.reader(text, strict=True), template)
    finally:
        if not file.closed:  # it is, when whoever read gave up before the end
            text.detach()  # the file is the caller's to close


def _rows(reader: Any, template: Template | None) -> Iterator[FileRow]:
    try:
        columns = _columns(next(reader, []), template)
    except csv.Error as broken:
        raise InvalidFile(f"the header cannot be read: {broken}") from None
    number = 0
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as broken:
            number += 1
            yield FileRow(number, reader.line_num, _unreadable(broken, first, reader.line_num))
            continue
        if cells is None:
            return
        if cells:  # an empty line is no row
            number += 1
            yield FileRow(number, reader.line_num, _said(columns, cells))


def send(producer: Producer, rows: Iterator[FileRow]) -> Iterator[tuple[FileRow, Answer]]:
    """Enqueue rows while their answers are read, in order; what was yielded is on Redis."""
    while window := list(islice(rows, WINDOW)):
        try:
            answers = list(producer.send_rows(_good(window)))
        except Unavailable as away:
            raise _numbered(away, window) from None
        yield from _paired(window, answers)


def rehearse(producer: Producer, rows: Iterator[FileRow]) -> Iterator[tuple[FileRow, Rehearsed | Refused]]:
    """Tell what ``send`` would answer, and at which cost; nothing is stored, and no credit spent."""
    while window := list(islice(rows, WINDOW)):
        yield from _paired(window, producer.rehearse(_good(window)))


def _good(window: Sequence[FileRow]) -> list[Mapping[str, Any]]:
    return [row.content for row in window if not isinstance(row.content, Refusal)]


def _paired(window: Sequence[FileRow], answers: Iterable[T | Refused]) -> Iterator[tuple[FileRow, T | Refused]]:
    remaining = iter(answers)
    for row in window:
        yield row, Refused.from_refusal(row.content) if isinstance(row.content, Refusal) else next(remaining)


def _numbered(away: Unavailable, window: Sequence[FileRow]) -> Unavailable:
    first, last = window[0].number, window[-1].number
    told = f"{away}. No row from {first} on was accepted."
    if away.unsure or any(answer.accepted for answer in away.answers):
        told = f"{away}. Of rows {first} to {last} some may have been accepted; no later row was."
    return Unavailable(
        told + " Give rows a clientMessageId, and the same file can be sent again without sending twice.",
        away.answers,
        away.unsure,
    )


def _columns(header: Sequence[str], template: Template | None) -> list[str]:
    columns = [name.strip() for name in header]
    if not any(columns):
        raise InvalidFile("the file is empty: its first row must name the columns, at least to,text")
    wanted = template.names if template else ()
    missing = next((name for name in wanted if name not in columns), None)
    if missing is not None:
        raise InvalidFile(f"the text needs {{{missing}}}, and there is no such column; there are {', '.join(columns)}")
    unknown = [column for column in columns if column not in BY_SPELLING and column not in wanted]
    if unknown:
        known = ", ".join(field.gateway_name for field in FIELDS)
        shown = ", ".join(ascii(column[:30]) for column in unknown[:5])
        besides = "; the text needs no such column" if template else ""
        raise InvalidFile(f"unknown column {shown}; known are {known}{besides}")
    names = [BY_SPELLING[column].name if column in BY_SPELLING else column for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise InvalidFile(f"two columns give the field {name}: keep one")
    if "to" not in names:
        raise InvalidFile("the column to is missing: it gives the recipient")
    if template and "text" in names:
        raise InvalidFile("the column text, and a text for all: give one of them")
    if not template and not {"text", "binary"} & set(names):
        raise InvalidFile("the column text is missing: it gives the message")
    return columns


def _unreadable(broken: csv.Error, first: int, last: int) -> Refusal:
    lines = f"line {first}" if first >= last else f"lines {first} to {last}, read as one row"
    return invalid("row", f"{broken} ({lines})", "close each quote, and write a quote inside a text twice")


def _said(columns: Sequence[str], cells: Sequence[str]) -> Mapping[str, str] | Refusal:
    if len(cells) < len(columns):
        return invalid(columns[len(cells)], "the row ends before this column", "give every column a cell")
    if len(cells) > len(columns):
        more = len(cells) - len(columns)
        return invalid("row", f"{more} more cells than columns", "put texts with commas into quotes")
    said = dict(zip(columns, cells, strict=True))
    for column, cell in said.items():
        if any("\udc80" <= letter <= "\udcff" for letter in cell):
            return Refusal(
                code=Code.UNICODE,
                field=column,
                problem="bytes that are not UTF-8, perhaps Latin-1 or Windows-1252",
                remedy="save the file as UTF-8",
            )
    return {column: cell for column, cell in said.items() if cell != "" or column in ("to", "text")}
