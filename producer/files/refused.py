"""Refused: the report of refused rows, a CSV with their cells and why, which can be corrected and sent again."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from threelane.contract.errors import Refused
from threelane.producer.files.headers import REPORT
from threelane.producer.files.row import FileRow

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What some spreadsheet runs as a formula (OWASP, CSV injection), also behind the apostrophes of an earlier report."""
_UNDECODED = re.compile("[\udc80-\udcff]")


def write(file: Path, refused: Iterable[tuple[FileRow, Refused]]) -> None:
    """Write the report of refused rows, as UTF-8 that Excel recognises; without one it has the header alone."""
    given = list(refused)
    header = _header(given)
    with file.open("w", encoding="utf-8-sig", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(map(_escaped, (*header, *REPORT)))
        for row, answer in given:
            cells = dict(zip(_names(row.header), row.cells, strict=False))
            why = (str(row.line), answer.code, f"{answer.field}: {answer.problem}", answer.remedy)
            writer.writerow(map(_escaped, (*(cells.get(name, "") for name in header), *why)))


def from_report(cell: str) -> str:
    """Return a cell as it was before the report escaped it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _header(refused: Sequence[tuple[FileRow, Refused]]) -> list[str]:
    """Return the columns of all rows, of which those of JSON Lines differ; the ends of an earlier report left out."""
    names = dict.fromkeys(name for row, _ in refused for name in _names(row.header))
    return list(names)


def _names(header: Sequence[str]) -> Sequence[str]:
    return header[: -len(REPORT)] if tuple(header[-len(REPORT) :]) == REPORT else header


def _escaped(cell: str) -> str:
    plain = _UNDECODED.sub("\ufffd", cell)  # what is refused until somebody corrects it
    return f"'{plain}" if _FORMULA.match(plain) else plain
