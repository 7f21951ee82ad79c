"""JSON lines: a file with one object per line as the rows of a bulk; an invalid line has no effect on others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from io import BufferedReader
from typing import Any

import msgspec

from threelane.contract.fields import BY_SPELLING, invalid
from threelane.contract.refusal import Code, Refusal
from threelane.contract.spreadsheet import SpelledFloat
from threelane.producer.files.bulk import COUNTRY, FileRow, two_number_columns

MOST_OCTETS = 1_000_000  # of a line; a message takes some hundred

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=SpelledFloat).decode


def read_json_lines(file: BufferedReader, columns: Collection[str] = ()) -> Iterator[FileRow]:
    """Read rows; names are those of docs/fields.md, and ``columns`` for the placeholders of a text."""
    number = line = 0
    while octets := file.readline(MOST_OCTETS):
        line += 1
        whole = octets.endswith(b"\n") or len(octets) < MOST_OCTETS
        while not whole and not (more := file.readline(MOST_OCTETS)).endswith(b"\n") and more:
            pass  # skip the rest of the line
        if octets.strip():
            number += 1
            yield FileRow(
                number, line, _content(octets.removeprefix(b"\xef\xbb\xbf"), columns) if whole else _too_long()
            )


def _content(octets: bytes, columns: Collection[str]) -> Mapping[str, Any] | Refusal:
    try:
        content = _decode(octets)
    except UnicodeDecodeError:
        return Refusal(
            code=Code.UNICODE, field="row", problem="bytes that are not UTF-8", remedy="save the file as UTF-8"
        )
    except (msgspec.DecodeError, RecursionError) as broken:
        return invalid(
            "row", f"not a JSON object: {str(broken)[:120]}", 'write one object per line, as in {"to": "27831234567"}'
        )
    known = (name in BY_SPELLING or name in columns or name == COUNTRY for name in content)
    unknown = next((name for name, is_known in zip(content, known, strict=True) if not is_known), None)
    if unknown is not None:
        if problem := two_number_columns(content, columns):
            return invalid(ascii(unknown[:40])[1:-1], problem, "leave the others out")
        return invalid(ascii(unknown[:40])[1:-1], "unknown field", "docs/fields.md lists the fields")
    to = content.get("to")
    return content | {"to": to.spelling} if isinstance(to, SpelledFloat) else content


def _too_long() -> Refusal:
    return invalid("row", f"more than {MOST_OCTETS:,} octets in a line", "write one message per line")
