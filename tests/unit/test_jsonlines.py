"""A file with one JSON object a line becomes rows; a bad line is reported and loses no other."""

from __future__ import annotations

from io import BufferedReader, BytesIO

from threelane.contract.refusal import Refusal
from threelane.producer.files.bulk import FileRow
from threelane.producer.files.jsonlines import MOST_OCTETS, read_json_lines
from threelane.producer.files.row import How
from threelane.producer.files.template import parse

GOOD = b'{"to": 27831234567, "text": "Hi", "lane": 2, "tags": ["a"]}'


def rows(content: bytes, how: How | None = None) -> list[FileRow]:
    return list(read_json_lines(BufferedReader(BytesIO(content)), how))  # type: ignore[arg-type]


def test_each_line_is_a_row_and_empty_lines_are_skipped() -> None:
    """With a byte order mark or without, with a last line end or without."""
    read = rows(b"\xef\xbb\xbf" + GOOD + b"\r\n\n  \n" + GOOD)
    assert [(1, 1), (2, 4)] == [(row.number, row.line) for row in read]
    assert all(row.content == {"to": 27831234567, "text": "Hi", "lane": 2, "tags": ["a"]} for row in read)


def test_a_line_that_is_not_an_object_is_refused_and_loses_no_other() -> None:
    """Broken, of another kind, not UTF-8, too deep, or with an unknown field."""
    bad = [b"{", b"[1]", b"1", b'{"to": "\xe9"}', b"[" * 5000, b'{"colour": "red"}', b'{"a": ' * 5000]
    read = rows(b"\n".join([*bad, GOOD]))
    assert [True] * len(bad) + [False] == [isinstance(row.content, Refusal) for row in read]
    assert "colour" == read[5].content.field  # type: ignore[union-attr]


def test_a_line_without_an_end_takes_no_memory() -> None:
    """A file that is something else altogether."""
    read = rows(b"x" * (3 * MOST_OCTETS) + b"\n" + GOOD)
    assert [True, False] == [isinstance(row.content, Refusal) for row in read]


def test_columns_of_the_text_are_known() -> None:
    """A text that has placeholders names them."""
    (row,) = rows(b'{"to": "1", "name": "Ana"}', How(parse("Hi {name}")))
    assert {"to": "1", "name": "Ana"} == row.content
