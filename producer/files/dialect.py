"""Dialect: how a text file separates and quotes its cells, recognised from its header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO, TextIOWrapper
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from threelane.producer.files.headers import field_of, key
from threelane.producer.files.row import EMPTY, How, InvalidFile

if TYPE_CHECKING:
    from _csv import Reader

SAMPLE = 1 << 17  # characters from which a dialect is recognised
MOST_LINE = 20_000_000  # characters; a longer line is not held in memory
SEPARATORS = ",;\t|"
_SEP = re.compile(r'"?sep=(.)"?[;,]*\s*', re.IGNORECASE)
_BLANK = re.compile("[\\s\\x00\\x1a\u200b-\u200f\u2060\ufeff]*")
_AFTER_A_HEADER = 10  # rows among which a header is looked for below a title


class Dialect(NamedTuple):
    """A separator, a quote, whether spaces precede quotes, and the number of lines before the header.

    ``trailing`` is the number of empty cells with which every row ends, beyond those of the header.
    """

    separator: str
    quote: str
    spaces: bool
    skipped: int
    trailing: int = 0

    def reader(self, lines: Iterator[str]) -> Reader:
        """Return a reader of these lines."""
        return csv.reader(
            lines, strict=True, delimiter=self.separator, quotechar=self.quote, skipinitialspace=self.spaces
        )


def is_blank(cell: str) -> bool:
    """Return whether a cell has nothing to see: also the NULs and the Ctrl-Z at the end of damaged and old files."""
    return _BLANK.fullmatch(cell) is not None


class Lines:
    """The lines of a text; ``cut`` is whether the last one was longer than what is held in memory."""

    def __init__(self, text: TextIOWrapper) -> None:
        """Read from the position of the text, without the byte order marks at its start."""
        self._text, self._first = text, True
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Return the next line with its end, or the beginning of a line that is too long."""
        line = self._text.readline(MOST_LINE)
        if not line:
            raise StopIteration
        if len(line) == MOST_LINE and line[-1] not in "\r\n":
            self.cut = True
            while (more := self._text.readline(MOST_LINE)) and more[-1] not in "\r\n":
                pass
        if self._first:
            self._first, line = False, line.lstrip("\ufeff")
        return line


def recognise(sample: str, how: How) -> Dialect:
    """Return the dialect in which the header of a file has the most names that are known; raises InvalidFile."""
    lines = StringIO(sample.lstrip("\ufeff"), newline="").readlines()
    lines = lines[:-1] if len(sample) == SAMPLE and len(lines) > 1 else lines  # the last one may be cut off
    skipped = next((number for number, line in enumerate(lines) if not is_blank(line.strip(SEPARATORS + "\r\n"))), -1)
    if skipped < 0:
        raise InvalidFile(EMPTY)
    forced = _SEP.fullmatch(lines[skipped])
    skipped += forced is not None
    quote = "'" if lines[skipped:] and _is_single_quoted(lines[skipped]) else '"'
    others = {key(name) for name in (*how.wanted, *how.columns.values())} - {""}
    problems: list[csv.Error] = []
    best, dialect = (-1, -1), None
    for separator in forced[1] if forced else SEPARATORS:
        spaces = re.search(rf"{re.escape(separator)} +{quote}", sample) is not None
        tried = Dialect(separator, quote, spaces, skipped)
        try:
            rows = tried.reader(iter(lines[skipped:]))
            cells: list[str] = next((row for row in rows if not all(map(is_blank, row))), [])
        except csv.Error as broken:
            problems.append(broken)
            continue
        points = (sum(bool(field_of(cell.strip()) or key(cell) in others) for cell in cells), len(cells))
        if points > best:
            best, dialect = points, tried
    if any("\0" in line for line in lines[skipped : skipped + 1]):
        order = _byte_order(lines[skipped])
        raise InvalidFile(
            f"the header has NULs, as UTF-16 without its mark has: give --encoding {order}, or save the file as UTF-8"
        )
    if dialect is None or (problems and best < (0, 2)):
        raise InvalidFile(f"the header cannot be read: {problems[0]}")
    if not best[0]:
        _refuse_title(dialect, lines)
    return dialect._replace(trailing=_trailing(dialect, lines, best[1]))


def _byte_order(line: str) -> str:
    """Return the order of the octets of a line that was read as UTF-8: which of each two is the NUL."""
    return "utf-16-be" if line.index("\0") % 2 == 0 else "utf-16-le"


def _is_single_quoted(line: str) -> bool:
    cells = re.split(r"[,;\t|]", line.strip())
    return all(len(cell.strip()) > 1 and cell.strip()[0] == cell.strip()[-1] == "'" for cell in cells)


def _trailing(dialect: Dialect, lines: list[str], columns: int) -> int:
    """Return how many empty cells end every row of the sample; with one row nothing tells them from a comma's.

    A text whose comma is not quoted moves the cells behind it, so a row with more cells than the others is refused.
    """
    more: list[int] = []
    try:
        for cells in dialect.reader(iter(lines[dialect.skipped :])):
            if not all(map(is_blank, cells)):
                extra = cells[columns:]
                more.append(len(extra) if all(map(is_blank, extra)) else 0)
    except csv.Error:
        pass  # reported with its row
    rows = more[1:]
    return min(rows) if len(rows) > 1 else 0


def _refuse_title(dialect: Dialect, lines: list[str]) -> None:
    """Raise InvalidFile if a row below the first looks as a header does."""
    for separator in SEPARATORS:
        reader = dialect._replace(separator=separator).reader(iter(lines[dialect.skipped :]))
        try:
            for cells in islice(reader, _AFTER_A_HEADER):
                if "to" in map(field_of, map(str.strip, cells)):
                    line = dialect.skipped + reader.line_num
                    raise InvalidFile(f"the header is on line {line}, below other rows: delete the rows above it")
        except csv.Error:
            continue
