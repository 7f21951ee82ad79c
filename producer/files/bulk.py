"""Bulk: a CSV file is read as rows; an invalid row is refused by number, without effect on others."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from io import BufferedReader, TextIOWrapper
from typing import Any, NamedTuple

from threelane.contract.fields import BY_SPELLING, FIELDS, invalid
from threelane.contract.refusal import Code, Refusal
from threelane.producer.files.template import Template

COUNTRY = "country"  # the column by which a row's number is read; no field of a message
NUMBER_COLUMNS = re.compile(
    r"(to|recipient|msisdn|handset|whatsapp|mobile|cell|tel|contact|(mobile|cell|tele|contact)?phone|number)(number|no)?"
)
"""Names of columns that hold numbers, in lower case and without spaces and signs."""
MAX_CELL = 10_000_000  # characters; a longer cell has an unclosed quote


class InvalidFile(Exception):
    """The file as a whole is invalid; nothing was sent."""


class Identity(NamedTuple):
    """What tells a row of a batch from others: its message id, and what that was made of."""

    id: str
    batch: str
    producer: str
    to: str  # the subscriber
    content: bytes  # empty with a client message id of its own
    times: int  # how many times the content occurred before in the file


class FileRow(NamedTuple):
    """A row of the file: its number (1 is the first after the header), its line, and its content or refusal.

    ``is_known``: its batch has accepted it before.
    """

    number: int
    line: int
    content: Mapping[str, Any] | Refusal
    identity: Identity | None = None
    is_known: bool = False


def read_csv(file: BufferedReader, template: Template | None = None) -> Iterator[FileRow]:
    """Read rows; the header names the fields as docs/fields.md does, and may begin with a byte order mark.

    With a template, which gives the text, the header may also name the columns of its placeholders.
    """
    csv.field_size_limit(MAX_CELL)
    text = TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _rows(csv.reader(text, strict=True), template)
    finally:
        if not file.closed:  # closed if the consumer stopped before the end
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
        if cells:  # an empty line is not a row
            number += 1
            yield FileRow(number, reader.line_num, _content(columns, cells))


def _columns(header: Sequence[str], template: Template | None) -> list[str]:
    columns = [name.strip() for name in header]
    if not any(columns):
        raise InvalidFile("the file is empty: its first row must name the columns, at least to,text")
    wanted = template.names if template else ()
    if problem := two_number_columns(columns, wanted):
        raise InvalidFile(problem)
    other = next((name for name in columns if is_number_column(name) and name not in wanted), "to")
    if "to" not in columns and other not in BY_SPELLING:
        raise InvalidFile(f'the column to is missing, for the recipient: rename {other[:30]!a} to "to"')
    missing = next((name for name in wanted if name not in columns), None)
    if missing is not None:
        raise InvalidFile(f"the text needs the column {{{missing}}}; the file has {', '.join(columns)}")
    unknown = [column for column in columns if not (column in BY_SPELLING or column in wanted or column == COUNTRY)]
    if unknown:
        known = ", ".join(field.gateway_name for field in FIELDS)
        shown = ", ".join(ascii(column[:30]) for column in unknown[:5])
        besides = "; the text does not use it" if template else ""
        raise InvalidFile(f"unknown column {shown}; allowed are {known}{besides}")
    names = [BY_SPELLING[column].name if column in BY_SPELLING else column for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise InvalidFile(f"two columns for the field {name}: keep one")
    if "to" not in names:
        raise InvalidFile("the column to is missing, for the recipient")
    if template and "text" in names:
        raise InvalidFile("the column text and a text for all rows: give one of them")
    if not template and not {"text", "binary"} & set(names):
        raise InvalidFile("the column text is missing")
    return columns


def two_number_columns(columns: Iterable[str], wanted: Collection[str]) -> str:
    """Return the problem of a file with two columns of numbers, or ""; ``wanted`` are the columns of its text."""
    found = [column for column in columns if is_number_column(column) and column not in wanted]
    if len(found) < 2:
        return ""
    first, second = (ascii(column[:30])[1:-1] for column in found[:2])
    return f"two columns of numbers, {first} and {second}: keep the one to send to, and name it to"


def is_number_column(name: str) -> bool:
    """Return whether the name of a column is one that people give to numbers."""
    return NUMBER_COLUMNS.fullmatch(re.sub(r"[\s_.-]+", "", name.lower())) is not None


def _unreadable(broken: csv.Error, first: int, last: int) -> Refusal:
    lines = f"line {first}" if first >= last else f"lines {first} to {last}, read as one row"
    return invalid("row", f"{broken} ({lines})", "close each quote, and write a quote inside a text twice")


def _content(columns: Sequence[str], cells: Sequence[str]) -> Mapping[str, str] | Refusal:
    if len(cells) < len(columns):
        return invalid(columns[len(cells)], "the row ends before this column", "give each column a cell")
    if len(cells) > len(columns):
        more = len(cells) - len(columns)
        return invalid("row", f"{more} more cells than columns", "quote texts with commas")
    content = dict(zip(columns, cells, strict=True))
    for column, cell in content.items():
        if any("\udc80" <= letter <= "\udcff" for letter in cell):
            return Refusal(
                code=Code.UNICODE,
                field=column,
                problem="bytes that are not UTF-8, perhaps Latin-1 or Windows-1252",
                remedy="save the file as UTF-8",
            )
    return {column: cell for column, cell in content.items() if cell != "" or column in ("to", "text", COUNTRY)}
