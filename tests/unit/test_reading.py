"""What is recognised in a file, and what is never guessed."""

from __future__ import annotations

import contextlib
import csv
import random
import time
from io import BufferedReader, BytesIO, StringIO
from pathlib import Path

import pytest

from tests.workbooks import HEADER, number, row, sheet, text, workbook
from threelane.contract import message
from threelane.contract.errors import Refused
from threelane.contract.fields import BY_SPELLING
from threelane.contract.refusal import Code, Refusal, invalid
from threelane.interfaces.command.bulk.reading import confirmed
from threelane.interfaces.command.bulk.refused_file import MOST_SHOWN, RefusedRows
from threelane.producer.files import bulk, dialect, encoding, headers, refused
from threelane.producer.files import workbook as workbooks
from threelane.producer.files.duplicates import KeptRows, without_duplicates
from threelane.producer.files.encoding import UnknownEncoding
from threelane.producer.files.preview import first_messages
from threelane.producer.files.row import FileRow, How, InvalidFile, Noticed
from threelane.producer.files.template import parse as parse_template

NOW = int(time.time() * 1000)
A, B = "27831230001", "27831230002"


def opened(content: bytes | str) -> BufferedReader:
    return BufferedReader(BytesIO(content.encode() if isinstance(content, str) else content))


def read(content: bytes | str, how: How | None = None, noticed: Noticed | None = None) -> list[FileRow]:
    return list(bulk.read_file(opened(content), how or How(), None, noticed or Noticed()))


# encodings
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("windows-1252", "Grüße aus München, ça va, mañana a las 9"),
        ("windows-1251", "Привет Анна, ждём вас завтра"),
        ("koi8-r", "Привет Анна, ждём вас завтра"),
        ("cp866", "Привет Анна, ждём вас завтра"),
        ("windows-1253", "Καλημέρα Άννα, αύριο στις εννέα"),
        ("gb18030", "你好，我们明天见面"),
        ("shift_jis", "こんにちは、明日お会いしましょう"),
    ],
)
def test_the_right_encoding_is_among_those_shown_to_a_person(name: str, words: str) -> None:
    """The person who knows the language sees which one reads right."""
    with pytest.raises(UnknownEncoding) as unknown:
        encoding.recognise(opened(f"to,text\n{A},{words}\n".encode(name)))

    assert [f"{A},{words}"] in unknown.value.readings.values()


def test_a_long_line_shows_its_first_other_letters() -> None:
    """A file without line ends is not printed."""
    with pytest.raises(UnknownEncoding) as unknown:
        encoding.recognise(opened(b"a" * 100_000 + "Grüße".encode("cp1252") + b"a" * 100_000))

    assert all(len(line) <= 400 for lines in unknown.value.readings.values() for line in lines)
    assert "Grüße" in unknown.value.readings["windows-1252"][0]


def test_random_octets_are_refused_in_a_sentence_or_read() -> None:
    """Nothing else may happen, whatever the file is."""
    for seed in range(300):
        chance = random.Random(seed)
        content = chance.choice([b"", b"to,text\n", b"PK\x03\x04", b"\xff\xfe"]) + chance.randbytes(400)
        with contextlib.suppress(InvalidFile):
            read(content)


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_at_the_terminal_chooses_the_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """After seeing how the lines would read; an empty answer stops."""
    file = opened(f"to,text\n{A},Grüße\n".encode("cp1252"))
    monkeypatch.setattr("sys.stderr", _Terminal())
    monkeypatch.setattr("sys.stdin", _Terminal("windows-1252\n"))
    how = confirmed(Path("people.csv"), file, How())
    assert ["Grüße"] == [row.content["text"] for row in bulk.read_file(file, how, None, Noticed())]  # type: ignore[index]

    monkeypatch.setattr("sys.stdin", _Terminal("\n"))
    with pytest.raises(UnknownEncoding):
        confirmed(Path("people.csv"), file, How())


# headers
@pytest.mark.parametrize("field", headers.SYNONYMS)
def test_each_synonym_is_a_name_of_one_field(field: str) -> None:
    """Two fields with the same name would leave a file to chance."""
    for synonym in headers.SYNONYMS[field]:
        assert field == headers.field_of(synonym), synonym
        others = {one for one, names in headers.SYNONYMS.items() if synonym in names} - {field}
        assert set() == others


def test_the_names_of_the_documentation_count_in_any_case() -> None:
    """But for words that address books use for other things."""
    for spelling, field in BY_SPELLING.items():
        if spelling not in headers.EXACT_ONLY:
            assert field.name == BY_SPELLING[headers.field_of(spelling.upper())].name
    assert "" == headers.field_of("Type")


@pytest.mark.parametrize("name", ["deliv_time", "scheduled_time", "concat", "message_class", "msg_type", "cliMsgId"])
def test_names_that_only_clickatell_has_count_in_any_case(name: str) -> None:
    """A time of delivery that is ignored sends the message at once."""
    assert [name] * 3 == [headers.field_of(one) for one in (name.upper(), name.title(), name)]
    assert "" == headers.field_of("Scheduled time")  # of an appointment


@pytest.mark.parametrize(
    ("header", "columns", "sentence"),
    [
        ("to,phone,text", {}, "--column to=phone"),
        ("Phone,Home phone,text", {}, "two columns of numbers, Phone and Home phone"),
        ("Phone,Phone type,text", {}, ""),
        ("to,Home phone,text", {}, ""),
        ("Mobile,Mobile 2,text", {"to": "mobile"}, ""),
        ("Home phone,text", {}, '--column to="Home phone"'),
        ("to,text,Message", {"text": "Message"}, ""),
        ("to,text", {"to": "Number"}, "no such column; the file has to, text"),
        ("to,text,to", {"to": "to"}, "2 columns have this name"),
        ("to,text,lane", {"lane": ""}, ""),
    ],
)
def test_a_column_is_chosen_by_a_person_where_two_could_be_meant(
    header: str, columns: dict[str, str], sentence: str
) -> None:
    """A message to the number of another person cannot be taken back."""
    names = header.split(",")
    if not sentence:
        taken = headers.assign(names, How(columns=columns))
        assert {"to", "text"} == {name for _, name in taken.read}
        return
    with pytest.raises(InvalidFile) as refusal:
        headers.assign(names, How(columns=columns))
    assert sentence in str(refusal.value)


def test_what_is_not_read_is_noticed() -> None:
    """Ignored columns, blank rows and the separator are printed before anything is sent."""
    noticed = Noticed()
    read(f"Phone;Message;Notes;lnae\n{A};Hi;vip;1\n;;;\n", noticed=noticed)

    assert (("Notes", "lnae"), 1, ";") == (noticed.ignored, noticed.blank_rows, noticed.separator)
    assert {"to": "Phone", "text": "Message"} == noticed.read


def test_columns_of_address_books_are_no_fields() -> None:
    """From is a town or a colleague there; whoever means the sender ID says so."""
    header = f"Phone,Message,From,Sender,Validity,Escalate\n{A},Hello,Durban,Bo,2027,yes\n"
    noticed = Noticed()

    assert [{"to": A, "text": "Hello"}] == [one.content for one in read(header, noticed=noticed)]
    assert ("From", "Sender", "Validity", "Escalate") == noticed.ignored
    (chosen,) = read(header, How(columns={"from": "From"}))
    assert "Durban" in chosen.content.values()  # type: ignore[union-attr]


# lines
def test_a_line_that_is_never_ended_is_one_bad_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held in memory, and no part of it is sent."""
    monkeypatch.setattr(dialect, "MOST_LINE", 1_000)
    first, second, third = read(f"to,text\n{A},Hello\n{A},{'x,' * 1_000}\n{B},Hi\n")

    assert isinstance(second.content, Refusal)
    assert "a line of more than 1,000 characters" in second.content.problem
    assert ("Hello", "Hi") == (first.content["text"], third.content["text"])  # type: ignore[index]


# workbooks
def test_a_workbook_that_unpacks_to_more_than_is_read_is_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few thousand octets can be made to unpack to gigabytes."""
    monkeypatch.setattr(workbooks, "MOST_OCTETS", 100_000)
    bomb = workbook(HEADER + row(2, text("A2", "0" * 1_000_000)))

    with pytest.raises(InvalidFile, match="unpacked, and at most 100,000"):
        read(bomb)
    assert len(bomb) < 10_000


def test_a_cell_far_below_takes_no_memory_and_one_too_far_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spreadsheets write such cells by accident."""
    monkeypatch.setattr(workbooks, "MOST_ROWS", 1_000)
    rows = HEADER + row(2, number("A2", A), text("B2", "Hi"))

    assert 2 == len(read(workbook(rows + row(900, number("A900", B), text("B900", "Hi")))))
    with pytest.raises(InvalidFile, match="more than 1,000 rows"):
        read(workbook(rows + row(1_001, number("A1001", B), text("B1001", "Hi"))))


def test_hidden_columns_and_other_sheets_are_noticed() -> None:
    """They are read, or not, without anybody seeing it otherwise."""
    noticed = Noticed()
    rows = HEADER + row(2, number("A2", A), text("B2", "Hi"))
    columns = '<cols><col min="2" max="2" hidden="1"/></cols>'
    book = workbook(rows, rows, names=("One", "Two"), parts={"xl/worksheets/sheet1.xml": sheet(rows, columns)})
    read(book, noticed=noticed)

    assert "One" == noticed.sheet
    assert ["hidden columns are read as the others: B"] == [one for one in noticed.remarks if "hidden" in one]
    assert ["only the first sheet is read, not"] == [one[:33] for one in noticed.remarks if "sheet is" in one]


# duplicates, preview
def test_former_spellings_of_a_number_are_the_same_recipient() -> None:
    """Since May 2020 a person in Gabon has another spelling of the same number."""
    rows = [FileRow(n, n, {"to": to}) for n, to in enumerate(("+24177123456", "+24107123456", "+24166123456"), 1)]
    found = [row.content for row in without_duplicates(rows)]

    assert [False, True, False] == [isinstance(one, Refusal) for one in found]
    assert "as in row 1" in found[1].problem  # type: ignore[union-attr]


def test_a_refused_row_is_no_earlier_row_of_its_recipient() -> None:
    """Otherwise the person would get nothing."""
    bad = FileRow(1, 2, invalid("text", "junk", "correct it"))

    assert {"to": f"+{A}"} == list(without_duplicates([bad, FileRow(2, 3, {"to": f"+{A}"})]))[1].content


def test_the_first_messages_are_shown_as_handsets_show_them() -> None:
    """With the number to which each one goes; a row that is refused is left out."""
    rows = [FileRow(1, 2, invalid("to", "no", "no")), FileRow(2, 3, {"to": f"+{A}", "text": "Hi", "from": "ACME"})]
    (shown,) = first_messages(rows, lambda row: message.parse(row, NOW))

    assert (2, f"+{A}", "ACME", "Hi", 1) == shown[:5]


# the report of refused rows
CELLS = [
    "=1+1",
    "+27831230001",
    "-5",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "'=x",
    "'",
    "''=x",
    "plain",
    "a,b",
    'say "x"',
    "＝1",
    "",
]


def written_to(report: Path, *rows: tuple[FileRow, Refused]) -> None:
    found = refused.Report()
    for one, answer in rows:
        found.add(one, answer)
    found.write(report)
    found.close()


def refused_of(content: bytes | str, report: Path) -> list[Refusal]:
    """Write the refused rows of a file as the command does; returns why they are."""
    bad = [(one, one.content) for one in read(content) if isinstance(one.content, Refusal)]
    written_to(report, *((one, Refused.from_refusal(problem)) for one, problem in bad))
    return [problem for _, problem in bad]


def test_the_report_of_refused_rows_has_no_credentials(tmp_path: Path) -> None:
    """They are no field, so nothing of the row is lost; those that a text uses are part of the message."""
    answer = Refused(code=Code.INVALID, field="to", problem="p", remedy="r")
    header, cells = ("to", "Password", "API key", "session_id", "user"), ("1", "s3cret", "k3y", "s1d", "Ana")
    row = FileRow(1, 2, {}, header=header, cells=cells)
    for used, kept in ((), "to,user,line,"), (("password",), "to,Password,user,line,"):
        found = refused.Report(used)
        found.add(row, answer)
        found.write(tmp_path / "refused.csv")
        found.close()
        written = (tmp_path / "refused.csv").read_text(encoding="utf-8-sig")
        assert (kept, bool(used)) == (written[: len(kept)], "s3cret" in written)
        assert not {"k3y", "s1d"} & set(written.replace("\n", ",").split(","))


def test_the_report_of_refused_rows_gives_each_cell_back_as_it_was(tmp_path: Path) -> None:
    """No spreadsheet runs a cell as a formula, and the corrected file says what the first one said."""
    report = tmp_path / "refused.csv"
    header = ("to", "text", "notes")
    answer = Refused(code=Code.INVALID, field="text", problem="=problem", remedy="-remedy")
    written_to(
        report, *((FileRow(1, n, {}, header=header, cells=(A, cell, cell)), answer) for n, cell in enumerate(CELLS))
    )
    with report.open(encoding="utf-8-sig", newline="") as given:
        written = list(csv.reader(given))

    assert ["to", "text", "notes", *headers.REPORT] == written[0]
    assert [] == [cell for line in written for cell in line if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "＝")]
    rows = read(report.read_bytes())
    assert CELLS == [row.content["text"] for row in rows]  # type: ignore[index]
    assert CELLS == [row.cells[2] for row in rows]


def test_a_report_of_a_report_has_its_columns_once(tmp_path: Path) -> None:
    """A file is corrected in several rounds."""
    report = tmp_path / "refused.csv"
    answer = Refused(code=Code.INVALID, field="text", problem="p", remedy="r")
    written_to(report, (FileRow(1, 2, {}, header=("to", "text", *headers.REPORT), cells=(A, "x", *"1234")), answer))

    assert ["to,text,line,code,problem,remedy", f"{A},x,2,101,text: p,r"] == report.read_text("utf-8-sig").splitlines()


def test_a_row_that_was_refused_as_a_whole_stays_refused_until_its_problem_is_cleared(tmp_path: Path) -> None:
    """Nothing else in the report says that a text was cut at a comma, or that a row was hidden."""
    report = tmp_path / "refused.csv"
    hidden = HEADER + row(2, number("A2", A), text("B2", "Hi"), more='hidden="1"')
    files: dict[bytes | str, str] = {
        f"to,text,notes\n{A},Hello, Ana,\n": "1 more cells",
        f"to,text,notes\n{A},Hello, Ana, how, are\n": "2 more cells",
        f'to,text\n{A},"Hello\n': "unexpected end of data",
        workbook(hidden): "hidden",
    }
    for content, problem in files.items():
        first = refused_of(content, report)
        for _ in range(2):  # the report of the report as well
            again = refused_of(report.read_bytes(), report)
            assert [one.problem for one in first] == [one.problem for one in again]
            assert [problem in one.problem for one in again] == [True]
            assert "clear its cell in the column problem" in again[0].remedy

    cleared = report.read_text("utf-8-sig").replace("row: the row is hidden in the sheet", "")
    assert [{"to": A, "text": "Hi"}] == [one.content for one in read(cleared)]


def test_the_cells_of_a_text_that_was_cut_stay_in_the_report(tmp_path: Path) -> None:
    """Otherwise the person who corrects it cannot see them."""
    report = tmp_path / "refused.csv"
    refused_of(f"to,text,notes\n{A},Hello, Ana, how, are\n{B},Hi,there,\n", report)
    lines = [line.split(",")[:5] for line in report.read_text("utf-8-sig").splitlines()]

    assert [["to", "text", "notes", "", ""], [A, "Hello", " Ana", " how", " are"]] == lines[:2]
    assert [B, "Hi", "there", "", ""] == lines[2]
    cleared = report.read_text("utf-8-sig").replace("row: ", "").encode()
    assert "which has no name" in refused_of(cleared, report)[0].problem


def test_a_report_takes_the_place_of_an_earlier_one_when_it_is_complete(tmp_path: Path) -> None:
    """An earlier report with corrections is not lost to a full disk."""
    report = tmp_path / "refused.csv"
    report.write_text("corrected")
    report.chmod(0o640)
    found = refused.Report()
    found.add(FileRow(1, 2, {}, header=("to",), cells=(A,)), Refused(code="101", field="to", problem="p", remedy="r"))
    found.close()
    with pytest.raises(ValueError, match="closed"):
        found.write(report)

    assert ["refused.csv"] == [file.name for file in tmp_path.iterdir()]
    assert "corrected" == report.read_text()
    refused_of(f"to,text\n{A},a,b\n", report)
    assert (0o640, True) == (report.stat().st_mode & 0o777, "1 more cells" in report.read_text())


def test_a_report_keeps_the_columns_of_each_object(tmp_path: Path) -> None:
    """The objects of JSON Lines need not have the same names."""
    report = tmp_path / "refused.csv"
    answer = Refused(code=Code.INVALID, field="to", problem="p", remedy="r")
    rows = (("to", "text"), (A, "x")), (("text", "to", "lane"), ("y", B, "1"))
    written_to(report, *((FileRow(1, 2, {}, header=header, cells=cells), answer) for header, cells in rows))

    expected = ["to,text,lane,line,code,problem,remedy", f"{A},x,,2,101,to: p,r", f"{B},y,1,2,101,to: p,r"]
    assert expected == report.read_text("utf-8-sig").splitlines()


def test_more_strings_than_differ_are_refused_before_they_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few thousand octets can hold millions of equal strings, of which each takes a while."""
    monkeypatch.setattr(workbooks, "_MANY_STRINGS", 1_000)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    with_strings = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/>'

    def book(strings: str) -> bytes:
        main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        rows = HEADER + row(2, number("A2", A), '<c r="B2" t="s"><v>7</v></c>')
        return workbook(
            rows, types=with_strings, parts={"xl/sharedStrings.xml": f'<sst xmlns="{main}">{strings}</sst>'}
        )

    with pytest.raises(InvalidFile, match="has 5,000 strings in"):
        read(book("<si><t>a</t></si>" * 5_000))
    different = book("".join(f"<si><t>Dear customer {random.Random(n).random()}</t></si>" for n in range(2_000)))
    assert ["Dear customer 0.32383276483316237"] == [one.content["text"] for one in read(different)]  # type: ignore[index]


def test_the_strings_of_a_workbook_are_parsed_once_for_all_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run reads its file up to four times."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rows = HEADER + row(2, number("A2", A), '<c r="B2" t="s"><v>0</v></c>')
    part = f'<sst xmlns="{main}"><si><t>Hello</t></si></sst>'
    types = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/>'
    file = opened(workbook(rows, types=types, parts={"xl/sharedStrings.xml": part}))
    first = [one.content for one in bulk.read_file(file, How(), None, Noticed())]
    monkeypatch.setattr("openpyxl.reader.excel.read_string_table", None)

    assert first == [one.content for one in bulk.read_file(file, How(), None, Noticed())]
    assert [{"to": A, "text": "Hello"}] == first


def test_refused_rows_are_counted_and_only_the_first_are_kept(tmp_path: Path) -> None:
    """A file in which every row is wrong may have a million of them."""
    found = RefusedRows(None, tmp_path / "people.csv")
    for n in range(MOST_SHOWN + 5):
        found.add(FileRow(n, n, {}, cells=("x",)), Refused(code="105", field="to", problem="p", remedy="r"))

    assert (MOST_SHOWN + 5, {"105"}) == (found.number, found.codes)
    assert [(n, n) for n in range(MOST_SHOWN)] == [one[:2] for one in found.first]


def test_a_known_row_counts_before_a_new_one_above_it() -> None:
    """Known when the file was read once: the new one is refused from then on."""
    kept, rows = (
        KeptRows(),
        [FileRow(1, 2, {"to": A}), FileRow(2, 3, {"to": A}, is_known=True), FileRow(3, 4, {"to": A})],
    )
    refusals = [
        [isinstance(one.content, Refusal) for one in kept.without_duplicates(rows)] for _ in ("the plan", "the run")
    ]

    assert [[False, False, True], [True, False, True]] == refusals
    assert kept.has_changed
    both = [FileRow(n, n, {"to": A}, is_known=True) for n in (1, 2)]
    assert [False, True] == [isinstance(one.content, Refusal) for one in KeptRows().without_duplicates(both)]


def test_a_full_disk_ends_no_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows are sent by then; what is lost is the report, and that is said once."""
    report = tmp_path / "refused.csv"
    found = RefusedRows(report, tmp_path / "people.csv")
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(found._report, "_lines", full)
        for n in range(2):
            found.add(FileRow(n, n, {}, cells=("x",)), Refused(code="105", field="to", problem="p", remedy="r"))
        found.write("people.csv")

    assert (2, "") == (found.number, report.read_text())
    assert 1 == capsys.readouterr().err.count("No space left on device; the refused rows were not written")


def test_a_column_data_beside_a_text_is_a_date() -> None:
    """In Italian and Portuguese; without a text it is the gateway's word for 8-bit data."""
    assert ["to", "text"] == [name for _, name in headers.assign(["to", "text", "data"], How()).read]
    assert ["to", "data"] == [name for _, name in headers.assign(["to", "data"], How()).read]
    template = How(parse_template("On {data}"))
    assert ["to", "data"] == [name for _, name in headers.assign(["to", "data"], template).read]


@pytest.mark.parametrize("name", ["Data", "Scheduled time", "Charset", "Message class"])
def test_a_word_of_address_books_is_no_field_in_another_case(name: str) -> None:
    """Only the gateway's own spelling is the gateway's word there."""
    assert "" == headers.field_of(name)
