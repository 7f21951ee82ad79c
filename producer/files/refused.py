"""Refused: the report of refused rows, a CSV with their cells and why, which can be corrected and sent again."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, NamedTuple

import msgspec

from threelane.contract.errors import Refused
from threelane.contract.no_field import is_secret
from threelane.contract.refusal import Code, Refusal, invalid
from threelane.producer.files.dialect import is_blank
from threelane.producer.files.headers import REPORT, clean, key, report_start
from threelane.producer.files.row import FileRow

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What some spreadsheet runs as a formula (OWASP, CSV injection), also behind the apostrophes of an earlier report."""
_UNDECODED = re.compile("[\udc80-\udcff]")
_WHOLE_ROW = "row: "
_CLEAR = "then clear its cell in the column problem"


class _Line(NamedTuple):
    """A refused row as the report will have it, by the names of its columns."""

    names: tuple[str, ...]
    cells: tuple[str, ...]
    why: tuple[str, ...]


_decode = msgspec.json.Decoder(_Line).decode


class Report:
    """The refused rows of a run, on disk until the report is written: they take no memory."""

    def __init__(self, used: Collection[str] = ()) -> None:
        """Start without rows; ``used`` are headers and placeholders of credentials that are part of a text."""
        self._used = frozenset(map(key, used))
        self._lines: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed by close()
        self._names: dict[tuple[str, ...], None] = {}
        self._union: dict[str, None] = {}
        self._surplus = 0  # cells beyond the columns

    def add(self, row: FileRow, answer: Refused) -> None:
        """Add a row with the reason of its refusal."""
        names, cells = self._without_secrets(*_own(row.header, row.cells))
        if names and len(self._names) < 2:
            self._names[names] = None
        self._union.update(dict.fromkeys(names))
        self._surplus = max(self._surplus, len(cells) - len(names))
        why = (str(row.line), str(answer.code), f"{answer.field}: {answer.problem}", _remedy(answer))
        line = _Line(*(tuple(map(_escaped, values)) for values in (names, cells, why)))
        self._lines.write(msgspec.json.encode(line) + b"\n")

    def _without_secrets(
        self, names: tuple[str, ...], cells: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        secret = {place for place, name in enumerate(names) if is_secret(clean(name)) and key(name) not in self._used}
        if not secret:
            return names, cells
        return tuple(one for place, one in enumerate(names) if place not in secret), tuple(
            one for place, one in enumerate(cells) if place not in secret
        )

    def write(self, file: Path) -> None:
        """Write the report as UTF-8 that Excel recognises; a file is replaced when the report is complete.

        Without a row the report has its header alone.
        """
        if file.exists() and not (file.is_file() and os.access(file.resolve().parent, os.W_OK)):  # or a pipe
            with file.open("w", encoding="utf-8-sig", newline="") as opened:
                self._write(opened)
            return
        target = file.resolve()
        with NamedTemporaryFile(
            "w", encoding="utf-8-sig", newline="", dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as opened:
            try:
                self._write(opened)
                if target.exists():
                    shutil.copymode(target, opened.name)
                opened.close()
                os.replace(opened.name, target)
            except BaseException:
                Path(opened.name).unlink(missing_ok=True)
                raise

    def close(self) -> None:
        """Forget the rows, also those that a full disk did not take."""
        with contextlib.suppress(OSError):
            self._lines.close()

    def _write(self, opened: IO[str]) -> None:
        writer = csv.writer(opened)
        header = self._header()
        writer.writerow((*map(_escaped, header), *REPORT))
        for line in self._read():
            writer.writerow((*self._cells(line, header), *line.why))

    def _read(self) -> Iterator[_Line]:
        self._lines.seek(0)
        for octets in self._lines:
            yield _decode(octets)

    @property
    def _is_table(self) -> bool:
        """Whether all rows have the same columns, as those of JSON Lines need not."""
        return len(self._names) < 2

    def _header(self) -> tuple[str, ...]:
        """Return the columns; what a row has beyond them stays in columns without a name, which are refused."""
        if self._is_table:
            return (*next(iter(self._names), ()), *[""] * self._surplus)
        return tuple(self._union)

    def _cells(self, line: _Line, header: Sequence[str]) -> Iterator[str]:
        if self._is_table:
            yield from (line.cells[place] if place < len(line.cells) else "" for place in range(len(header)))
        else:
            cells = dict(zip(line.names, line.cells, strict=False))
            yield from (cells.get(_escaped(name), "") for name in header)


def refused_before(header: Sequence[str], cells: Sequence[str]) -> Refusal | None:
    """Return the refusal of a row of a report that stays refused: it was refused as a whole, and its problem is there.

    The cells of such a row do not show what was wrong with it: that it was hidden, or had a cell too many.
    """
    start = report_start(header)
    if start is None:
        return None
    values = dict(zip((name.casefold() for name in header[start:]), cells[start:], strict=False))
    problem = values.get("problem", "").strip()
    if not problem.startswith(_WHOLE_ROW) or values.get("code", "").strip() == Code.CONFLICT:
        return None
    return invalid("row", problem.removeprefix(_WHOLE_ROW), f"correct the row, {_CLEAR}")


def from_report(cell: str) -> str:
    """Return a cell as it was before the report escaped it."""
    return cell[1:] if is_escaped(cell) else cell


def is_escaped(cell: str) -> bool:
    """Return whether a cell looks as the report escapes one."""
    return cell.startswith("'") and _FORMULA.match(cell) is not None


def _own(header: Sequence[str], cells: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns and cells of a row without those of an earlier report, and without blank cells at the end."""
    start = report_start(header)
    own = tuple(header) if start is None else tuple(header[:start])
    found = [*cells[: len(own)], *[""] * (len(own) - len(cells)), *cells[len(header) :]]
    while len(found) > len(own) and is_blank(found[-1]):
        found.pop()
    return own, tuple(found)


def _remedy(answer: Refused) -> str:
    if answer.field != "row" or answer.code == Code.CONFLICT or _CLEAR in answer.remedy:
        return answer.remedy
    return f"{answer.remedy}, {_CLEAR}"


def _escaped(cell: str) -> str:
    plain = _UNDECODED.sub("\ufffd", cell)  # what is refused until somebody corrects it
    return f"'{plain}" if _FORMULA.match(plain) else plain
