"""Workbook: the rows of an .xlsx file; its size is limited before anything is unpacked into memory."""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from io import BufferedReader
from itertools import chain
from typing import IO, Any, NamedTuple
from weakref import WeakKeyDictionary

from threelane.contract.refusal import Refusal, invalid
from threelane.producer.files.dialect import is_blank
from threelane.producer.files.row import How, InvalidFile, Noticed, RawRow

MOST_OCTETS = 500_000_000  # of all parts, unpacked
MOST_PARTS = 10_000
MOST_ROWS = 1_048_576  # of a sheet, in Excel as well
MOST_CELLS = 20_000_000
MOST_STRINGS = 2_000_000  # two columns of texts that all differ
_MANY_STRINGS = 100_000
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, KeyError, IndexError, AttributeError,
    ValueError, TypeError, OverflowError, SyntaxError,
)  # fmt: skip
"""What the library raises for a damaged workbook; a SyntaxError is one of its XML."""
_CHUNK = 1 << 20
_TAG = re.compile(rb"<(?:\w+:)?(row|col)\b([^<>]*)>")
_FORMULA = re.compile(rb"<(?:\w+:)?c\b([^<>]*)>\s*<(?:\w+:)?f\b")
_CELL = re.compile(
    rb"<(?:\w+:)?c\b([^<>]*)>\s*<(?:\w+:)?f\b[^<>]*(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_HIDDEN = re.compile(rb"""\bhidden\s*=\s*["'](?:1|true)["']|\bht\s*=\s*["']0(?:\.0*)?["']""")
_RECALCULATED = re.compile(rb"""<(?:\w+:)?calcPr\b[^<>]*\bfullCalcOnLoad\s*=\s*["'](?:1|true)["']""")
_SAVE_AGAIN = "open the file in a spreadsheet, and save it again"
_STRICT = b"http://purl.oclc.org/ooxml/spreadsheetml/main"
_STRING = re.compile(rb"<(?:\w+:)?si\b")
_BOOK = "xl/workbook.xml"
_DOCTYPE = re.compile(rb"<!(?:DOCTYPE|ENTITY)")
_ESCAPE = re.compile(r"_x(000[9AD])_")
_OVERLAP = 4_096


_HIDDEN_ROW = invalid("row", "the row is hidden in the sheet", "show it, perhaps by removing a filter, or delete it")


class Hidden(NamedTuple):
    """What a sheet does not show: rows, numbers of columns; and the cells whose formulas have no result.

    ``is_stale``: no spreadsheet has calculated the formulas since a program wrote them, whatever their results are.
    """

    rows: set[int]
    columns: set[int]
    uncalculated: set[str]
    is_stale: bool = False


def rows(file: BufferedReader, how: How, noticed: Noticed) -> Iterator[RawRow]:
    """Yield the rows of the first sheet with content, or of the one that is given; raises InvalidFile."""
    try:
        from openpyxl.reader.excel import ExcelReader
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise InvalidFile(
            "an .xlsx file needs: pip install 'threelane[files]'; or save it as CSV UTF-8, and send that"
        ) from None
    _check(file)
    warnings.filterwarnings("ignore", module=r"openpyxl\.")  # of parts that are not read
    try:
        reader = ExcelReader(file, read_only=True, data_only=True, keep_links=False)
        reader.archive = _Checked(file)
        _read(reader, file)
        book = reader.wb
    except (InvalidFileException, *_BROKEN) as broken:
        raise _damaged(broken) from None
    try:
        yield from _rows(book, how, noticed)
    except _BROKEN as broken:
        raise _damaged(broken) from None
    finally:
        book.close()


def _damaged(broken: Exception) -> InvalidFile:
    why = " ".join(str(broken).split())[:100]
    return InvalidFile(
        f"the workbook cannot be read ({type(broken).__name__}: {ascii(why)[1:-1]}): open it in a spreadsheet, and "
        "save it again"
    )


_strings: WeakKeyDictionary[BufferedReader, list[str]] = WeakKeyDictionary()
"""The shared strings of each file that is open: a run reads it several times, and parsing them takes the most time."""


def _read(reader: Any, file: BufferedReader) -> None:
    """Read a workbook but for the rows of its sheets; its shared strings are parsed once."""
    if (known := _strings.get(file)) is None:
        reader.read()
        _strings[file] = reader.shared_strings
    else:
        reader.shared_strings, reader.read_strings = known, lambda: None
        reader.read()


class _Checked(zipfile.ZipFile):
    """An archive of which each part is checked before it is opened, whatever its name; a part may have any."""

    def __init__(self, file: BufferedReader) -> None:
        super().__init__(file)
        self._checked: set[str] = set()

    def open(self, name: str | zipfile.ZipInfo, *more: Any, **options: Any) -> IO[bytes]:
        """Open a part; raises InvalidFile if it declares entities, or has more strings than a spreadsheet writes."""
        part = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        if part.filename not in self._checked:
            with super().open(part) as opened:
                _check_part(opened, part)
            self._checked.add(part.filename)
        return super().open(name, *more, **options)


def _check(file: BufferedReader) -> None:
    """Raise InvalidFile for a workbook that is too large unpacked, encrypted, or in another form; nothing is kept."""
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)  # what is read of a part ends at this size
        if size > MOST_OCTETS or len(parts) > MOST_PARTS:
            raise InvalidFile(
                f"the workbook has {size:,} octets in {len(parts):,} parts unpacked, and at most {MOST_OCTETS:,} in "
                f"{MOST_PARTS:,} are read: save the sheet as CSV UTF-8"
            )
        if any(part.flag_bits & 1 for part in parts):
            raise InvalidFile("the workbook is encrypted: save it without a password")
        try:
            is_strict = _BOOK in archive.namelist() and _STRICT in archive.read(_BOOK)
        except _BROKEN as broken:
            raise _damaged(broken) from None
    if is_strict:
        raise InvalidFile("it is a Strict Open XML workbook: save it as Excel Workbook (.xlsx), without Strict")
    file.seek(0)


def _check_part(opened: IO[bytes], part: zipfile.ZipInfo) -> None:
    strings, before = 0, opened.read(2)
    if before in (b"\xff\xfe", b"\xfe\xff") or b"\0" in before:
        raise InvalidFile("the workbook has parts in UTF-16, as no spreadsheet writes them: save it again")
    while octets := opened.read(_CHUNK):
        if _DOCTYPE.search(before + octets):
            raise InvalidFile("the workbook declares entities, as no spreadsheet does: it is not read")
        strings += len(_STRING.findall(before + octets)) - len(_STRING.findall(before))
        before = octets[-16:]
    if strings > MOST_STRINGS or strings > max(_MANY_STRINGS, part.compress_size):  # different ones do not pack to less
        raise InvalidFile(
            f"the workbook has {strings:,} strings in {part.compress_size:,} octets, more than a spreadsheet writes: "
            "open it in one, and save the sheet as CSV UTF-8"
        )


def _rows(book: Any, how: How, noticed: Noticed) -> Iterator[RawRow]:
    sheet, first, found = _sheet(book, how, noticed)
    noticed.sheet = sheet.title
    hidden = _hidden(book, sheet)
    if hidden.columns:
        noticed.remarks.append(f"hidden columns are read as the others: {_letters(hidden.columns)}")
    for number, values in chain([first], found):
        yield _row(number, values, hidden)


def _numbered(sheet: Any) -> Iterator[tuple[int, Any]]:
    """Yield the rows with their numbers; raises InvalidFile where a sheet is larger than is read."""
    cells = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
        cells += len(values)
        if number > MOST_ROWS or cells > MOST_CELLS:
            raise InvalidFile(f"more than {MOST_ROWS:,} rows or {MOST_CELLS:,} cells in the sheet: send it in parts")
        yield number, values


def _sheet(book: Any, how: How, noticed: Noticed) -> tuple[Any, tuple[int, Any], Iterator[tuple[int, Any]]]:
    """Return the sheet to read, its first row with content, and its further rows."""
    names = [sheet.title for sheet in book.worksheets]
    if how.sheet:
        chosen = [sheet for sheet in book.worksheets if sheet.title.casefold() == how.sheet.strip().casefold()]
        if not chosen:
            raise InvalidFile(f"--sheet {how.sheet[:40]!a}: no such sheet; the file has {_quoted(names)}")
    else:
        chosen = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    with_content = []
    for sheet in chosen:
        sheet.reset_dimensions()  # programs write wrong ones
        found = _numbered(sheet)
        first = next(((number, values) for number, values in found if any(map(_has_content, values))), None)
        if first:
            with_content.append((sheet, first, found))
    if not with_content:
        raise InvalidFile("the workbook has no visible sheet with content: its first row must name the columns")
    if not how.sheet and len(with_content) > 1:
        others = _quoted([sheet.title for sheet, _, _ in with_content[1:]])
        noticed.remarks.append(f"only the first sheet is read, not {others}: choose another with --sheet")
    return with_content[0]


def _has_content(value: object) -> bool:
    return value is not None and not (isinstance(value, str) and is_blank(value))


def _row(number: int, values: Sequence[Any], hidden: Hidden) -> RawRow:
    cells, problems = [], {}
    for index, value in enumerate(values):
        text, problem = _cell(value)
        cells.append(text)
        if problem:
            problems[index] = problem
        elif (value is None or hidden.is_stale) and (where := f"{_column(index + 1)}{number}") in hidden.uncalculated:
            problems[index] = _uncalculated(where)
    is_hidden = number in hidden.rows and any(map(_has_content, values))
    return RawRow(number, cells, problems, _HIDDEN_ROW if is_hidden else None)


def _uncalculated(where: str) -> Refusal:
    problem = f"a formula without a result in {where}: no spreadsheet has calculated it"
    return invalid("row", problem, _SAVE_AGAIN)


def _cell(value: Any) -> tuple[str, Refusal | None]:
    """Return a value as text, in the form in which a spreadsheet shows it without a format."""
    match value:
        case None:
            return "", None
        case bool():
            return str(value).upper(), None
        case float():
            return (str(int(value)) if value.is_integer() and abs(value) < 2**53 else format(value, ".15g")), None
        case datetime():
            day = value.date().isoformat()
            return (day if value.time() == time() else f"{day} {value.time().isoformat('minutes')}"), None
        case date():
            return value.isoformat(), None
        case time():
            return value.isoformat("minutes"), None
        case timedelta():
            return str(value), None
    text = str(value)
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x0" in text else text, None


def _hidden(book: Any, sheet: Any) -> Hidden:
    """Return what a sheet hides; read from its part, since the library leaves it out when it streams."""
    found = Hidden(set(), set(), set(), bool(_RECALCULATED.search(book._archive.read(_BOOK))))
    number, before = 0, b""
    with book._archive.open(sheet._worksheet_path) as opened:
        while octets := opened.read(_CHUNK):
            window = before + octets
            cut = window.rfind(b"<", max(0, len(window) - _OVERLAP)) if len(octets) == _CHUNK else len(window)
            end = window.rfind(b"<row", 0, cut) if len(octets) == _CHUNK else len(window)
            end = end if end > 0 else cut
            number = _look(window[:end], number, found)
            before = window[end:]
        _look(before, number, found)
    return found


def _look(octets: bytes, number: int, found: Hidden) -> int:
    for tag in _TAG.finditer(octets):
        if tag[1] == b"row":
            number = _attribute(tag[2], b"r") or number + 1
            if _HIDDEN.search(tag[2]):
                found.rows.add(number)
        elif _HIDDEN.search(tag[2]):
            first = _attribute(tag[2], b"min")
            found.columns.update(range(first, min(_attribute(tag[2], b"max"), first + 50) + 1))
    for cell in (_FORMULA if found.is_stale else _CELL).finditer(octets):
        where = re.search(rb"""\br=["']([A-Z]{1,3}[0-9]{1,7})["']""", cell[1])
        if where and (found.is_stale or not re.search(rb"""\bt=["']str["']""", cell[1])):
            found.uncalculated.add(where[1].decode())
        elif found.is_stale:
            raise InvalidFile(f"a formula without a result: {_SAVE_AGAIN}")
    return number


def _attribute(octets: bytes, name: bytes) -> int:
    found = re.search(rb"\b" + name + rb"""\s*=\s*["']([0-9]{1,7})["']""", octets)
    return int(found[1]) if found else 0


def _letters(columns: set[int]) -> str:
    return ", ".join(_column(number) for number in sorted(columns)[:10])


def _column(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name[:40]}"' for name in names[:5])
