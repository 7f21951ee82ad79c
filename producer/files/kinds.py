"""Kinds: what a file is by its first octets, and what to do with one that is not a table of messages."""

from __future__ import annotations

import re
import zipfile
from enum import StrEnum
from io import BufferedReader

from threelane.producer.files.row import EMPTY, InvalidFile

_START = 4_096


class Kind(StrEnum):
    """The format of a file."""

    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"


_SAVE = "save it as CSV UTF-8 or as .xlsx, and send that"
# fmt: off
_BINARY: tuple[tuple[bytes, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"an .xls file, or a workbook with a password: open it, and {_SAVE}"),
    (b"\x09\x08", f"an old .xls file: open it in a spreadsheet, and {_SAVE}"),
    (b"%PDF-", "a PDF document: it has no columns. Export the list from the program that made it, as CSV"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first, as in zcat file.csv.gz | threelane bulk /dev/stdin"),
    (b"BZh", "compressed with bzip2: unpack it first, with bunzip2"),
    (b"\xfd7zXZ\0", "compressed with xz: unpack it first, with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first, with unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it, and send the file in it"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it, and send the file in it"),
    (b"{\\rtf", f"an RTF document: copy its table into a spreadsheet, and {_SAVE}"),
    (b"PAR1", "a Parquet file: export it as CSV"),
    (b"SQLite format 3\0", "a SQLite database: export the table as CSV"),
)
_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"(?i)(<!doctype html|<html|<table|<meta )"),
     f"a web page, although its name may end with .xls: open it in a spreadsheet, and {_SAVE}"),
    (re.compile(rb"(?i)<\?xml|<workbook"), f"XML: open it in a spreadsheet, and {_SAVE}"),
    (re.compile(rb"(?i)BEGIN:VCARD"), "a file of vCards: export the contacts as CSV instead"),
    (re.compile(rb"(?i)(-- (MySQL|phpMyAdmin|PostgreSQL|MariaDB)|INSERT INTO|CREATE TABLE)"),
     "a dump of a database: export the table as CSV"),
)
# fmt: on
_ZIPS = (
    ("xl/workbook.xml", ""),
    ("xl/workbook.bin", f"an .xlsb workbook: open it, and {_SAVE}"),
    ("content.xml", f"an OpenDocument file (.ods): open it, and {_SAVE}"),
    ("Index/Document.iwa", "a file of Apple Numbers: export it as CSV or Excel, and send that"),
    ("Index.zip", "a file of Apple Numbers: export it as CSV or Excel, and send that"),
    ("word/document.xml", f"a Word document: copy its table into a spreadsheet, and {_SAVE}"),
)


def recognise(file: BufferedReader) -> Kind:
    """Return the format of a file, and seek back to its start; raises InvalidFile with what to do about others."""
    file.seek(0)
    start = file.read(_START)
    file.seek(0)
    if not start:
        raise InvalidFile(EMPTY)
    for mark, what in _BINARY:
        if start.startswith(mark):
            raise InvalidFile(f"it is {what}")
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _of_zip(file)
    text = _letters(start)
    for pattern, what in _TEXTS:
        if pattern.match(text):
            raise InvalidFile(f"it is {what}")
    if re.match(rb"\[\s*([\[{\"0-9\]]|$)", text):
        raise InvalidFile(
            "it is a JSON array: write one object per line (JSON Lines), as in jq -c '.[]' people.json > people.jsonl"
        )
    if re.match(rb'\{[ \t\r]*\n\s*"', text):
        raise InvalidFile(
            "it has a JSON object over several lines: write one per line, as in jq -c . people.json > people.jsonl"
        )
    return Kind.JSONL if re.match(rb'\{\s*"', text) else Kind.CSV


def _letters(start: bytes) -> bytes:
    """Return the first octets as ASCII, whatever the encoding, without marks and spaces before them."""
    return start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")


def _of_zip(file: BufferedReader) -> Kind:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise InvalidFile("it begins as a .zip or .xlsx file does, and is damaged: copy or save it again") from None
    finally:
        file.seek(0)
    for name, what in _ZIPS:
        if name in names:
            if what:
                raise InvalidFile(f"it is {what}")
            return Kind.XLSX
    shown = ", ".join(sorted(names)[:3])[:100]
    raise InvalidFile(f"it is a .zip archive (with {ascii(shown)[1:-1]}): unpack it, and send the file in it")
