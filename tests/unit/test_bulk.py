"""A CSV file becomes rows; a bad row is reported and loses no other."""

from __future__ import annotations

from io import BufferedReader, BytesIO

import pytest

from threelane.contract.refusal import Code, Refusal
from threelane.producer.files import bulk
from threelane.producer.files.bulk import FileRow, InvalidFile


def rows(content: str | bytes) -> list[FileRow]:
    octets = content.encode() if isinstance(content, str) else content
    return list(bulk.read_csv(BufferedReader(BytesIO(octets))))  # type: ignore[arg-type]


def codes(content: str | bytes) -> list[str]:
    """Return, row by row, the text that was read or the code of the refusal."""
    return [row.content.code if isinstance(row.content, Refusal) else row.content["text"] for row in rows(content)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_not_part_of_the_header(mark: bytes) -> None:
    """Excel writes one before the first column's name."""
    assert ["Hi"] == codes(mark + b"to,text\r\n27831234567,Hi\r\n")


def test_rows_are_numbered_below_the_header_and_empty_lines_do_not_count() -> None:
    """The number is the row's, the line is the file's."""
    read = [(row.number, row.line) for row in rows("to,text\n\n1,a\n\n2,b\n")]

    assert [(1, 3), (2, 5)] == read


def test_a_quoted_cell_may_hold_commas_quotes_and_newlines() -> None:
    """As spreadsheets write them."""
    assert ['a, "b"\nc', "d"] == codes('to,text\n1,"a, ""b""\nc"\n2,d\n')


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b",,\n", "the file is empty"),
        (b"27831234567,Hi\n", "the first row has the number 27831234567 instead of names"),
        (b"to,\xc3\xa9\n", "the column text is missing"),
        (b"colour,text\n", "the column to is missing"),
        (b"text\n", "the column to is missing"),
        (b"to,lane\n", "the column text is missing"),
        (b"to,text,from,sender\n", "two columns for the field sender"),
        (b'to,"text\n', "the header cannot be read"),
        (
            b"to,text,Message\n",
            "two columns for the field text, text and Message: choose one, as in --column text=text",
        ),
        (b"to,text\n27831234567,caf\xe9\n", "neither UTF-8 nor UTF-16"),
    ],
)
def test_a_file_without_a_proper_header_is_refused_as_a_whole(content: bytes, sentence: str) -> None:
    """Nothing is guessed from a file that does not name its columns."""
    with pytest.raises(InvalidFile, match=sentence) as refused:
        rows(content)

    assert len(str(refused.value)) < 300


def test_a_column_may_have_any_name_of_its_field() -> None:
    """The gateway's, ours, and the aliases, with spaces around them."""
    assert {"to": "1", "binary": "00", "climsgid": "a"} == rows("to, binary , climsgid \n1,00,a\n")[0].content


def test_an_empty_cell_is_a_field_left_out_but_never_an_empty_text() -> None:
    """A text that is missing is the message's fault, and is refused as such."""
    assert {"to": "", "text": "", "udh": "05"} == rows("to,text,lane,udh\n,,,05\n")[0].content


@pytest.mark.parametrize(
    ("bad", "code", "problem"),
    [
        (b"1", "101", "ends before this column"),
        (b"1,a,b", "101", "1 more cells than columns"),
        (b"1,caf\xe9", "116", "not UTF-8"),
        (b'1,"a"b', "101", "line 3"),
        (b'1,"a\n1,"b"', "101", "lines 3 to 4"),
    ],
)
def test_a_bad_row_loses_no_other(bad: bytes, code: str, problem: str) -> None:
    """It is refused with its number; those before and after it are read."""
    first, second, third = rows(b"\xef\xbb\xbfto,text\n1,first\n" + bad + b"\n1,last\n")

    assert ("first", "last") == (first.content["text"], third.content["text"])
    assert isinstance(second.content, Refusal)
    assert (2, code) == (second.number, second.content.code)
    assert problem in second.content.problem
    assert second.content.remedy


def test_a_quote_that_is_never_closed_is_reported_with_the_lines_it_took() -> None:
    """Its content could as well be a text; the error names the lines."""
    first, second = rows('to,text\n1,first\n1,"never\n1,closed\n')

    assert "first" == first.content["text"]
    assert isinstance(second.content, Refusal)
    assert (Code.INVALID, "row") == (second.content.code, second.content.field)
    assert "lines 3 to" in second.content.problem


def test_a_cell_of_any_length_is_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quote that is never closed in a file of gigabytes does not take them into memory."""
    monkeypatch.setattr(bulk, "MAX_CELL", 1_000)

    assert ["101", "after"] == codes("to,text\n1," + "a" * 1_001 + "\n1,after\n")
