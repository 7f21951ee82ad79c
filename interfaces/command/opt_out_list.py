"""Opt-out list: a file of people who must not be sent to, read row by row; a row that cannot be placed is refused."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice
from typing import NamedTuple

from threelane.contract.fields import LABEL
from threelane.contract.refusal import Refusal
from threelane.producer.files.bulk import COUNTRY, InvalidFile, is_number_column
from threelane.producer.files.numbers import (
    SAMPLES,
    BareNumbers,
    BothReadings,
    NumberRules,
    both_readings,
    is_bare,
    read,
)
from threelane.runtime.spreadsheet import from_cell
from threelane.store import suppression
from threelane.store.suppression import IMPORT, Entry

COLUMNS = ("number", "source", "code", "scope", "evidence", "first", "last", "expires", "times", "needs")
TEXTS = ("source", "scope", "evidence")  # the columns of free text
MOST_EVIDENCE = 200  # characters
_NUMBER = "number"
_OTHER_NAMES = {
    "reason": "evidence", "note": "evidence", "comment": "evidence", "since": "first", "date": "first",
    "optedout": "first", "optedoutat": "first", "optoutdate": "first", "unsubscribedat": "first",
}  # fmt: skip
_USUAL_WORDS = {"to", "number", "recipient", "contact"}  # of columns without numbers of people, as "contact name"
_ANOTHER = re.compile(
    r"phone|mobile|landline|fixed line|whatsapp|number\W*\d|(?:second|other|alt\w*|home|work|office)\W*(?:no|number)\b",
    re.IGNORECASE,
)
_TIMES = ("first", "last", "expires")
_COUNTS = ("times", "needs")
_WHOLE = re.compile(r"[0-9]{1,14}")  # a time of 14 digits is in the year 5138
_CODE = re.compile(r"[0-9]{1,3}")
_DAY_MS = 24 * 3600 * 1000
_DELIMITERS = ",;\t"
_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)


class ListRow(NamedTuple):
    """A row of the list: its number (1 is the first after the header), the line on which it ends, and its cells."""

    number: int
    line: int
    cells: Mapping[str, str] | csv.Error


def rows(file: BufferedReader) -> Iterator[ListRow]:
    """Yield the rows of a list from its start; raises InvalidFile for a file that is not one.

    The header names the columns; a list of nothing but numbers needs none.  UTF-8 or UTF-16, with commas, semicolons or
    tabs.
    """
    file.seek(0)
    start = file.read(2)
    encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    file.seek(0)
    text = TextIOWrapper(file, encoding=encoding, newline="")
    try:
        yield from _rows(text)
    except UnicodeDecodeError:
        raise InvalidFile("not UTF-8; save it as UTF-8") from None
    finally:
        if not file.closed:
            text.detach()  # the file is the caller's to close


_EMPTY = "the list is empty: write a column named number, or one number to a line"


def require_reading(found: Iterator[ListRow], rules: NumberRules, installation_country: str) -> int:
    """Read a list to its end, and return its number of rows; raises BareNumbers if nothing says how to read them."""
    samples: list[BothReadings] = []
    total = 0
    for row in found:
        total += 1
        if rules.reading("") is not None or len(samples) == SAMPLES or isinstance(row.cells, csv.Error):
            continue
        if COUNTRY not in row.cells and is_bare(row.cells.get(_NUMBER, "")):
            samples.append(both_readings(row.number, row.cells[_NUMBER], installation_country))
    if samples:
        raise BareNumbers(samples)
    return total


def entry(row: ListRow, rules: NumberRules, now: int) -> tuple[str, Entry]:
    """Return the number and the entry of a row; raises ValueError with field, problem and right form."""
    if isinstance(row.cells, csv.Error):
        raise ValueError(str(row.cells))
    values = {name: row.cells.get(name, "").strip() for name in COLUMNS}
    values |= {name: from_cell(values[name]) for name in TEXTS}
    first = _time("first", values["first"], now, now)
    if values["code"] and not _CODE.fullmatch(values["code"]):
        raise ValueError(f"code: {values['code'][:20]!r} is not a code of the gateway, such as 122")
    if values["source"] and not LABEL.fullmatch(values["source"]):
        raise ValueError(
            f"source: {values['source'][:20]!r} is not a valid name: up to 64 letters, digits and . _ : / -"
        )
    found = Entry(
        source=values["source"] or IMPORT,
        code=values["code"] or "122",
        scope=suppression.parse_scope(values["scope"] or suppression.ALL),
        evidence=from_cell(row.cells.get("evidence", ""))[:MOST_EVIDENCE],
        first=first,
        last=_time("last", values["last"], first if values["first"] else now, now),
        expires=_time("expires", values["expires"], 0),
        **{name: _whole(name, values[name], 1) for name in _COUNTS},
    )
    number = read(row.cells.get(_NUMBER, "").strip(), row.cells.get(COUNTRY, "").strip(), rules, _NUMBER)
    if isinstance(number, Refusal):
        raise ValueError(f"{number.field}: {number.problem}; {number.remedy}")
    return number, found


def _rows(text: TextIOWrapper) -> Iterator[ListRow]:
    lines: Iterator[str]
    first, lines = _first_line(text)
    if not first:
        raise InvalidFile(_EMPTY)
    if separator := _SEP.fullmatch(first[-1]):
        delimiter, lines, first = separator[1], text, [*first[:-1], ""]
    else:
        delimiter = max(_DELIMITERS, key=first[-1].count)
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    columns: Sequence[str] = ()
    number = 0
    skipped = len(first) if separator else 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as broken:
            number += 1
            yield ListRow(number, skipped + reader.line_num, broken)
            continue
        if cells is None:
            break
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns, is_header = _columns(cells)
            if is_header:
                continue
        number += 1
        yield ListRow(number, skipped + reader.line_num, _cells(columns, cells))
    if not number and tuple(columns) != COLUMNS:  # export writes the header of an empty list
        raise InvalidFile(_EMPTY)


def _first_line(text: TextIOWrapper) -> tuple[list[str], Iterator[str]]:
    """Return the lines up to the first one that is not blank, and all lines again."""
    seen: list[str] = []
    for line in text:
        seen.append(line)
        if line.strip(f"{_DELIMITERS} \r\n"):
            return seen, chain(seen, text)
    return [], iter(())


def _columns(cells: Sequence[str]) -> tuple[list[str], bool]:
    """Return our names of the columns, and whether the first row is a header."""
    names = [_name(cell) for cell in cells]
    numbers = [cell.strip() for cell, name in zip(cells, names, strict=True) if name == _NUMBER]
    if numbers:
        numbers += [cell.strip()[:30] for cell, name in zip(cells, names, strict=True) if _is_another(cell, name)]
    if len(numbers) > 1:
        raise InvalidFile(
            f"two columns of numbers, {numbers[0]!a} and {numbers[1]!a}: leave one out, or put all into one column"
        )
    for name in COLUMNS:
        if names.count(name) > 1:
            raise InvalidFile(f"two columns for {name}: keep one")
    if numbers:
        return names, True
    if not any(cells[1:]) and sum(letter.isdigit() for letter in cells[0]) >= 4:
        return [_NUMBER], False
    shown = ", ".join(f"{cell[:30]!a}" for cell in islice(cells, 5))
    raise InvalidFile(f"no column named number, but {shown}; the columns of export are {', '.join(COLUMNS)}")


def _name(cell: str) -> str:
    name = re.sub(r"[^a-z]", "", cell.lower())
    return _NUMBER if is_number_column(cell) else _OTHER_NAMES.get(name, name)


def _is_another(cell: str, name: str) -> bool:
    """Return whether a column that is not read may have numbers, as ``Mobile 2`` and ``Home phone``."""
    if name in (COUNTRY, *COLUMNS):
        return False
    words = set(re.split(r"[\W\d_]+", cell.lower())) - _USUAL_WORDS
    return any(map(is_number_column, words)) or _ANOTHER.search(cell) is not None


def _cells(columns: Sequence[str], cells: Sequence[str]) -> Mapping[str, str] | csv.Error:
    if len(cells) > len(columns) and (len(columns) > 1 or any(cells[1:])):
        return csv.Error(f"{len(cells)} cells in {len(columns)} columns: quote cells that contain commas")
    return dict(zip(columns, cells, strict=False))


def _time(name: str, text: str, default: int, now: int | None = None) -> int:
    """Return a time in milliseconds, of an ISO date or of digits."""
    if not text or _WHOLE.fullmatch(text):
        return _whole(name, text, default)
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{name}: {text[:20]!r} is not a whole number of up to 14 digits (milliseconds), nor a date as 2031-06-30"
        ) from None
    found = int((day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp() * 1000)
    if found < 0 or (now is not None and found > now + _DAY_MS):
        raise ValueError(f"{name}: {text[:20]!r} is not in the past")
    return found


def _whole(name: str, text: str, default: int) -> int:
    if text and not _WHOLE.fullmatch(text):
        raise ValueError(f"{name}: {text[:20]!r} is not a whole number of up to 14 digits")
    return int(text or default)
