"""JSON lines: a file with one object per line as the rows of a bulk; an invalid line has no effect on others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from io import BufferedReader, TextIOWrapper
from typing import Any

import msgspec

from threelane.contract.refusal import Code, Refusal, invalid
from threelane.contract.spreadsheet import SpelledFloat
from threelane.producer.files import encoding, headers
from threelane.producer.files.headers import Columns
from threelane.producer.files.row import FileRow, How, InvalidFile, Noticed

MOST_OCTETS = 1_000_000  # of a line; a message takes some hundred
_MOST_SHAPES = 1_000  # sets of names whose columns are remembered

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=SpelledFloat).decode


def read_json_lines(file: BufferedReader, how: How | None = None, noticed: Noticed | None = None) -> Iterator[FileRow]:
    """Read rows; names are those of docs/fields.md, or those that people give to columns; others are ignored."""
    how, noticed = how or How(), noticed or Noticed()
    shapes: dict[tuple[str, ...], Columns | Refusal] = {}
    number = 0
    for line, octets in _lines(file, how, noticed):
        if octets is not None and not octets.strip():
            continue
        number += 1
        if octets is None:
            yield FileRow(number, line, _too_long())
            continue
        content = _object(octets.strip())
        if isinstance(content, Refusal):
            yield FileRow(number, line, content)
            continue
        names = tuple(content)
        if names not in shapes and len(shapes) < _MOST_SHAPES:
            shapes[names] = _columns(names, how, noticed)
        columns = shapes.get(names) or _columns(names, how, noticed)
        row = columns if isinstance(columns, Refusal) else _content(content, columns)
        yield FileRow(number, line, row, header=names, cells=tuple(map(_cell, content.values())))


def _lines(file: BufferedReader, how: How, noticed: Noticed) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line as UTF-8 with its number; None for one that is too long."""
    name = noticed.encoding = _encoding(file, how.encoding)
    if name != encoding.UTF_8:
        yield from _decoded(file, name)
        return
    file.seek(0)
    line = 0
    while octets := file.readline(MOST_OCTETS):
        line += 1
        whole = octets.endswith(b"\n") or len(octets) < MOST_OCTETS
        while not whole and not (more := file.readline(MOST_OCTETS)).endswith(b"\n") and more:
            pass  # skip the rest of the line
        yield line, octets.removeprefix(b"\xef\xbb\xbf") if whole else None


def _decoded(file: BufferedReader, name: str) -> Iterator[tuple[int, bytes | None]]:
    file.seek(0)
    text = TextIOWrapper(file, encoding=name, errors="replace")
    try:
        line = 0
        while letters := text.readline(MOST_OCTETS):
            line += 1
            whole = letters.endswith("\n") or len(letters) < MOST_OCTETS
            while not whole and not (more := text.readline(MOST_OCTETS)).endswith("\n") and more:
                pass
            yield line, letters.removeprefix("\ufeff").encode(errors="replace") if whole else None
    finally:
        if not file.closed:
            text.detach()


def _encoding(file: BufferedReader, name: str) -> str:
    """Return the encoding; JSON is UTF-8, so that other octets are refused by line."""
    try:
        return encoding.chosen(file, name)
    except encoding.UnknownEncoding:
        return encoding.UTF_8


def _object(octets: bytes) -> dict[str, Any] | Refusal:
    try:
        return _decode(octets)
    except UnicodeDecodeError:
        return Refusal(
            code=Code.UNICODE, field="row", problem="bytes that are not UTF-8", remedy="save the file as UTF-8"
        )
    except (msgspec.DecodeError, RecursionError) as broken:
        return invalid(
            "row", f"not a JSON object: {str(broken)[:120]}", 'write one object per line, as in {"to": "27831234567"}'
        )


def _columns(names: Collection[str], how: How, noticed: Noticed) -> Columns | Refusal:
    """Return which names of an object are read; nothing is missing from the file if an object lacks one."""
    try:
        columns = headers.assign(list(names), how, complete=False) if names else None
    except InvalidFile as wrong:
        return invalid("row", str(wrong)[:600], "correct the object, or name its fields as docs/fields.md does")
    if columns is None or not columns.read:
        return invalid(ascii("".join(names)[:40])[1:-1] or "row", "unknown field", "docs/fields.md lists the fields")
    noticed.read = noticed.read | {name: columns.header[index] for index, name in columns.read}
    noticed.ignored = tuple(dict.fromkeys((*noticed.ignored, *columns.ignored)))[:100]
    return columns


def _content(content: Mapping[str, Any], columns: Columns) -> Mapping[str, Any]:
    values = list(content.values())
    found = {name: values[index] for index, name in columns.read}
    to = found.get("to")
    return found | {"to": to.spelling} if isinstance(to, SpelledFloat) else found


def _cell(value: Any) -> str:
    """Return a value as a cell of the report of refused rows."""
    if isinstance(value, SpelledFloat):
        return value.spelling
    return value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()


def _too_long() -> Refusal:
    return invalid("row", f"more than {MOST_OCTETS:,} octets in a line", "write one message per line")
