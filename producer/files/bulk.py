"""Bulk: a file is read as rows; an invalid row is refused by number, without effect on others."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader, TextIOWrapper
from itertools import islice

from threelane.contract.fields import BY_SPELLING
from threelane.contract.refusal import Code, Refusal, invalid
from threelane.producer.files import dialect, encoding, headers, kinds, workbook
from threelane.producer.files.headers import Columns, is_number_column
from threelane.producer.files.jsonlines import read_json_lines
from threelane.producer.files.kinds import Kind
from threelane.producer.files.refused import from_report, is_escaped, refused_before
from threelane.producer.files.row import COUNTRY, EMPTY, FileRow, How, Identity, InvalidFile, Noticed, RawRow
from threelane.producer.files.template import Template

__all__ = ["COUNTRY", "MAX_CELL", "FileRow", "Identity", "InvalidFile", "is_number_column", "read_csv", "read_file"]

MAX_CELL = 10_000_000  # characters; a longer cell has an unclosed quote
_KEPT = ("to", "text", COUNTRY)  # also when they are empty
_BELOW_A_TITLE = 10  # rows among which a header is looked for
_NUMBER = re.compile(r"[\"']?\+?\d{8,15}[\"']?")
_NO_ROWS = "the file has a header and no rows: nothing to send"


def read_file(file: BufferedReader, how: How, kind: Kind | None, noticed: Noticed) -> Iterator[FileRow]:
    """Read the rows of a file from its start, in the given format or in the one that is recognised.

    Raises InvalidFile, at the latest at the end of a file without rows.
    """
    found = kinds.recognise(file)  # raises for formats that are not read, whatever the option
    if Kind.XLSX in (found, kind) and found is not kind and kind is not None:
        raise InvalidFile(f"--format {kind}: its content is that of a file of the format {found}")
    match kind or found:
        case Kind.XLSX:
            rows = _rows(workbook.rows(file, how, noticed), how, noticed)
        case Kind.JSONL:
            rows = read_json_lines(file, how, noticed)
        case _:
            rows = read_csv(file, how=how, noticed=noticed)
    yield from required(rows)


def required(rows: Iterator[FileRow]) -> Iterator[FileRow]:
    """Yield the rows; raises InvalidFile at the end if there is none."""
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise InvalidFile(_NO_ROWS)


def read_csv(
    file: BufferedReader, template: Template | None = None, how: How | None = None, noticed: Noticed | None = None
) -> Iterator[FileRow]:
    """Read rows of text in the encoding, and with the separator, that are given or recognised.

    The header names the fields as docs/fields.md does, or as people do; with a template, which gives the text, it must
    also name the columns of its placeholders.  Other columns are ignored.
    """
    how, noticed = how or How(template), noticed or Noticed()
    csv.field_size_limit(MAX_CELL)
    name = noticed.encoding = encoding.chosen(file, how.encoding)
    found = dialect.recognise(_sample(file, name), how)
    noticed.separator = found.separator
    text = _text(file, name)
    try:
        yield from _rows(_cells(found, dialect.Lines(text)), how, noticed, found.trailing)
    finally:
        if not file.closed:  # closed if the consumer stopped before the end
            text.detach()  # the file is the caller's to close


def _text(file: BufferedReader, name: str) -> TextIOWrapper:
    """Return the text of a file from its start; what is not UTF-8 is refused by row, as is what was lost."""
    file.seek(0)
    return TextIOWrapper(
        file, encoding=name, errors="surrogateescape" if name == encoding.UTF_8 else "replace", newline=""
    )


def _sample(file: BufferedReader, name: str) -> str:
    text = _text(file, name)
    try:
        return text.read(dialect.SAMPLE)
    finally:
        text.detach()
        file.seek(0)


def _cells(found: dialect.Dialect, lines: dialect.Lines) -> Iterator[RawRow]:
    """Yield the rows of a text, its header first; raises InvalidFile if that cannot be read."""
    for _ in range(found.skipped):
        next(lines, "")
    reader = found.reader(lines)
    header = True
    while True:
        first, lines.cut = found.skipped + reader.line_num + 1, False
        try:
            cells = next(reader, None)
        except csv.Error as broken:
            last = found.skipped + reader.line_num
            if header:
                raise InvalidFile(f"the header cannot be read: {broken}") from None
            yield RawRow(last, (), refusal=_unreadable(broken, first, last))
            continue
        if cells is None:
            return
        line = found.skipped + reader.line_num
        if lines.cut:
            yield RawRow(line, cells[:1], refusal=_too_long())
            continue
        header = header and all(map(dialect.is_blank, cells))
        yield RawRow(line, cells)


def _rows(raw: Iterator[RawRow], how: How, noticed: Noticed, trailing: int | None = None) -> Iterator[FileRow]:
    columns: Columns | None = None
    number, unescaped = 0, False
    for row in raw:
        if row.refusal is None and all(map(dialect.is_blank, row.cells)) and not row.problems:
            noticed.blank_rows += columns is not None and bool(row.cells)
            continue
        if columns is None:
            try:
                columns, unescaped = _header(row, how, noticed)
            except InvalidFile as wrong:
                if trailing is None:
                    _refuse_sheet(wrong, raw, noticed)
                raise
            continue
        number += 1
        cells = tuple(map(from_report, row.cells)) if unescaped else row.cells
        problem = row.refusal or (refused_before(columns.header, cells) if unescaped else None)
        if trailing is not None:
            problem = problem or _swallowed(columns, cells, noticed.separator)
        content = problem or _content(columns, row, cells, trailing)
        if trailing is not None and not unescaped and not isinstance(content, Refusal):
            content = _escaped_cell(content) or content
        yield FileRow(number, row.line, content, header=columns.header, cells=cells)
    if columns is None:
        raise InvalidFile(EMPTY)


def _header(row: RawRow, how: How, noticed: Noticed) -> tuple[Columns, bool]:
    if row.refusal is not None:
        raise InvalidFile(f"the header cannot be used: {row.refusal.problem}; {row.refusal.remedy}")
    escaped = headers.report_start(row.cells) is not None
    columns = headers.assign([from_report(cell) for cell in row.cells] if escaped else row.cells, how)
    noticed.read = {name: columns.header[index] for index, name in columns.read}
    noticed.ignored = columns.ignored
    return columns, escaped


def _refuse_sheet(wrong: InvalidFile, below: Iterator[RawRow], noticed: Noticed) -> None:
    """Raise InvalidFile with what else may be the table: a header below a title, or another sheet."""
    for row in islice(below, _BELOW_A_TITLE):
        if "to" in map(headers.field_of, map(str.strip, row.cells)):
            raise InvalidFile(f"the header is in row {row.line}, below other rows: delete the rows above it")
    for others in (one for one in noticed.remarks if "--sheet" in one):
        raise InvalidFile(f"sheet {noticed.sheet[:40]}: {wrong}; {others}")


def _unreadable(broken: csv.Error, first: int, last: int) -> Refusal:
    lines = f"line {first}" if first >= last else f"lines {first} to {last}, read as one row"
    return invalid("row", f"{broken} ({lines})", "close each quote, and write a quote inside a text twice")


def _too_long() -> Refusal:
    return invalid("row", f"a line of more than {dialect.MOST_LINE:,} characters", "write one message per line")


def _content(columns: Columns, row: RawRow, cells: Sequence[str], trailing: int | None) -> Mapping[str, str] | Refusal:
    """Return the content of a row by field and placeholder, or why it has none.

    In text, a cell outside the columns is the rest of a message whose comma is not quoted, but for the ``trailing``
    ones of every row; in a sheet (None), it is a note.
    """
    content: dict[str, str] = {}
    for index, name in columns.read:
        if index in row.problems:
            return row.problems[index]
        if index >= len(cells):
            if trailing is not None:
                return invalid(name, "the row ends before this column", "give each column a cell")
            cell = ""
        else:
            cell = cells[index]
        if cell != "" or name in _KEPT or name not in BY_SPELLING:
            content[name] = cell
    if trailing is not None and (problem := _outside(columns, cells, trailing)):
        return problem
    return _damaged(content) or content


def _outside(columns: Columns, cells: Sequence[str], trailing: int) -> Refusal | None:
    more = len(cells) - len(columns.header)
    if more > trailing or any(not dialect.is_blank(cell) for cell in cells[len(columns.header) :]):
        return invalid("row", f"{more} more cells than columns", "quote texts with commas")
    beside = next((i for i in columns.unnamed if i < len(cells) and not dialect.is_blank(cells[i])), None)
    if beside is not None:
        return invalid(
            "row", f"a cell in column {beside + 1}, which has no name", "quote texts with commas, or name the column"
        )
    return None


def _swallowed(columns: Columns, cells: Sequence[str], separator: str) -> Refusal | None:
    """Return the refusal of a row with another row within a cell: the quote before it is not closed."""
    place = next((index for index, name in columns.read if name == "to"), 0)
    for index, cell in enumerate(cells):
        for line in re.split(r"[\r\n]+", cell)[1:] if "\n" in cell or "\r" in cell else ():
            parts = line.split(separator)
            if len(parts) > max(place, 1) and _NUMBER.fullmatch(parts[place]) and not re.match(r"\s", parts[1]):
                return invalid(
                    columns.header[index] if index < len(columns.header) else "row",
                    "a line of the cell is a row of its own",
                    "close the quote that opens before it; a comma that is meant needs a space behind it",
                )
    return None


def _escaped_cell(content: Mapping[str, str]) -> Refusal | None:
    """Return the refusal of a row of a report from which its last columns, and so its mark, were deleted."""
    for name, cell in content.items():
        if name != "to" and is_escaped(cell) and "'" not in cell[1:]:
            return invalid(
                name,
                f"an apostrophe before {cell[1]!a}, as a report of refused rows has it",
                "remove it, or leave the report its columns line, code, problem and remedy",
            )
    return None


def _damaged(content: Mapping[str, str]) -> Refusal | None:
    for name, cell in content.items():
        if not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell):
            return Refusal(
                code=Code.UNICODE,
                field=name,
                problem="bytes that are not UTF-8, perhaps Latin-1 or Windows-1252",
                remedy="save the file as UTF-8",
            )
    return None
