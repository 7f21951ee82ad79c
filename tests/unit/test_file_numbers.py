"""How the bare numbers of a file are read is given, or the whole file is refused with both readings."""

from __future__ import annotations

from io import BufferedReader, BytesIO

import pytest

from tests.national_numbers import mobiles
from threelane.contract.reading import E164, INTERNATIONAL, Form, Reading
from threelane.contract.refusal import Refusal
from threelane.producer.files import bulk, numbers
from threelane.producer.files.bulk import FileRow, InvalidFile
from threelane.producer.files.jsonlines import read_json_lines
from threelane.producer.files.numbers import BareNumbers, NumberRules, is_bare, option, require_reading

ZA = Reading(Form.NATIONAL, "ZA")
NUMBER = "+27831234506"


def csv_rows(content: str) -> list[FileRow]:
    return list(bulk.read_csv(BufferedReader(BytesIO(content.encode()))))


def json_rows(content: str) -> list[FileRow]:
    return list(read_json_lines(BufferedReader(BytesIO(content.encode()))))


def read(found: list[FileRow], given: Reading | None = None) -> list[str]:
    """Return, row by row, the number or the field and the problem of its refusal."""
    read_rows = numbers.read_rows(found, NumberRules(given))
    contents = [row.content for row in read_rows]
    return [f"{one.field}: {one.problem}" if isinstance(one, Refusal) else one["to"] for one in contents]


def test_the_mobiles_of_32_countries_need_a_country() -> None:
    """36 % of them are numbers of another country as they are; without a reading none is taken."""
    found = list(mobiles(each=20))
    file = csv_rows("to,text\n" + "".join(f"{one.national},Hi\n" for one in found))
    with pytest.raises(BareNumbers) as refused:
        require_reading(file, NumberRules(), "")
    assert numbers.SAMPLES == len(refused.value.samples)

    by_row = csv_rows("to,text,country\n" + "".join(f"{one.national},Hi,{one.country}\n" for one in found))
    require_reading(by_row, NumberRules(), "")
    assert [f"+{one.msisdn}" for one in found] == read(by_row)
    assert [True] * len(found) == ["no +" in one for one in read(file, E164)]


def test_both_readings_are_shown_with_their_countries() -> None:
    """The one who has the file knows which one is meant."""
    with pytest.raises(BareNumbers, match="--country ZA") as refused:
        require_reading(csv_rows("to,text\n+27831234506,Hi\n2025550133,Hi\n0831234506,Hi\n"), NumberRules(), "US")
    first, second = refused.value.samples
    assert (2, "2025550133", "EG +2025550133", "US +12025550133") == first
    assert (3, "none: the number starts with 0") == (second.row, second.international)


@pytest.mark.parametrize(
    "cell",
    ["27831234506", "0831234506", " 083 123 4506", "(083) 123-4506", "27831234506.0", "2.7831234506E+10", "'0831234506",
     '="0831234506"', "\u0660\u0668\u0663\u0661\u0662\u0663\u0664\u0665\u0660\u0666", "\uff10\uff18\uff13\uff11",
     27831234506, 27831234506.0],
)  # fmt: skip
def test_digits_without_plus_or_zeros_are_bare(cell: object) -> None:
    """However a spreadsheet or a form wrote them."""
    assert is_bare(cell)


@pytest.mark.parametrize(
    "cell", ["+27831234506", "0027831234506", "'+27831234506", '="+27831234506"', "\uff0b27831234506", "00 27 83",
             "(+27) 831234506", "2.78E+10", "unknown", "#N/A", "", None, True]
)  # fmt: skip
def test_international_numbers_and_cells_without_a_number_are_not(cell: object) -> None:
    """The former need no reading, and the latter are refused by row."""
    assert not is_bare(cell)


def test_the_country_of_a_row_precedes_that_of_the_command_line() -> None:
    """Except where the command line says that all numbers have their country code."""
    file = csv_rows("to,text,country\n0612345678,Hi,FR\n0831234506,Hi,\n+27831234506,Hi,US\n")

    assert ["+33612345678", NUMBER, NUMBER] == read(file, ZA)
    assert ["+33612345678", "country: the number has no + or 00, and its row no country", NUMBER] == read(file)
    assert "to: the number starts with 0" == read(file, INTERNATIONAL)[0]


def test_an_unknown_country_is_refused_by_row() -> None:
    """With the right form; ``South Africa`` and ``RSA`` are common."""
    file = csv_rows("to,text,country\n0831234506,Hi,RSA\n0831234506,Hi,za\n")

    assert ["country: 'RSA' is not a country", NUMBER] == read(file)


def test_floats_of_json_keep_all_digits_or_are_refused() -> None:
    """Python would read 2.78E+10 as a whole number."""
    file = json_rows('{"to": 27831234506.0}\n{"to": 2.7831234506E+10}\n{"to": 2.78E+10}\n{"to": 27831234506}\n')

    assert [NUMBER, NUMBER, NUMBER] == [one for one in read(file, INTERNATIONAL) if one.startswith("+")]
    assert "digits are lost" in read(file, INTERNATIONAL)[2]


def test_three_hundred_numbers_with_a_decimal_reach_nobody_else() -> None:
    """A float column: 27831234506.0 was delivered to 278312345060."""
    found = [one.msisdn for one in mobiles(each=10)][:300]
    file = csv_rows("to,text\n" + "".join(f"{number}.0,Hi\n" for number in found))

    assert [f"+{number}" for number in found] == read(file, INTERNATIONAL)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("to,phone,text\n", "to and phone"),
        ("to,text,Mobile\n", "to and Mobile"),
        ("to,text,Cell Phone\n", "to and Cell Phone"),
        ("MSISDN,Phone Number,text\n", "MSISDN and Phone Number"),
        ("text,Mobile,Home phone\n", "Mobile and Home phone"),
    ],
)
def test_two_columns_of_numbers_are_refused_by_name(content: str, named: str) -> None:
    """Only people know which one they mean."""
    with pytest.raises(InvalidFile, match=named):
        csv_rows(content)


def test_two_numbers_in_an_object_are_refused_by_name() -> None:
    """The same for JSON."""
    (row,) = json_rows('{"to": "+27831234506", "text": "Hi", "mobile": "0831234507"}\n')

    assert isinstance(row.content, Refusal)
    assert "to and mobile" in row.content.problem


@pytest.mark.parametrize(
    ("form", "country", "expected"),
    [
        ("", "", None), ("international", "", INTERNATIONAL), ("E164", "", E164), ("national", "za", ZA),
        ("", "ZA", ZA),
        ("national:ZA", "", ZA), ("national", "", "needs a country"), ("international", "ZA", "for national numbers"),
        ("e164:ZA", "", "write international"), ("local", "", "write international"), ("", "XX", "not a country"),
        ("", "South Africa", "two letters"), ("national:ZA", "ZA", "leave it out"),
    ],
)  # fmt: skip
def test_options_give_a_reading_or_the_right_form(form: str, country: str, expected: Reading | str | None) -> None:
    """An unknown country is not a reason to guess."""
    if not isinstance(expected, str):
        assert expected == option(form, country)
        return
    with pytest.raises(ValueError, match=expected):
        option(form, country)


def test_the_producer_of_a_row_may_have_a_reading() -> None:
    """Before the installation's, and after a country and the command line."""
    settings = {"shop": ZA, "clinic": E164}
    rules = NumberRules(None, Reading(Form.NATIONAL, "FR"), settings.get, "shop")
    file = csv_rows("to,text,producer\n0831234506,Hi,\n0831234506,Hi,clinic\n0612345678,Hi,other\n")
    require_reading(file, rules, "")
    first, second, third = (row.content for row in numbers.read_rows(file, rules))

    assert isinstance(second, Refusal)
    assert not isinstance(first, Refusal)
    assert not isinstance(third, Refusal)
    assert (NUMBER, "+33612345678") == (first["to"], third["to"])
