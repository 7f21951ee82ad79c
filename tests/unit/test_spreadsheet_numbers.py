"""What spreadsheets, forms and databases do to a number is undone where no digit is lost, and refused where one is."""

from __future__ import annotations

import pytest

from threelane.contract.spreadsheet import Problem, restore, restore_float

NUMBER = "27831234506"


@pytest.mark.parametrize(
    "cell",
    [
        "27831234506",
        "27831234506.0",
        "27831234506.00",
        "27831234506,0",
        "27831234506,00",
        "27831234506.000000",
        "27831234506\u066b0",
        " 27831234506.0 ",
        "2.7831234506E+10",
        "2.7831234506e10",
        "2,7831234506E+10",
        "2.7831234506E+010",
        "2.78312345060E+10",
        "27831234506E0",
        "27831234506E+00",
        '="27831234506"',
        '"=""27831234506"""',
        "=27831234506",
        "'27831234506",
        "\u201927831234506",
        "`27831234506",
        '"27831234506"',
        "''27831234506''",
        "\u00ab27831234506\u00bb",
        "\u00a027831234506\u00a0",
        "\ufeff27831234506",
        "\u202a27831234506\u202c",
        "\u200b27831234506\u200b",
        "27,831,234,506",
        "27,831,234,506.00",
        "27.831.234.506,00",
        "27 831 234 506,00",
        "27 831 234 506.00",
        "27\u202f831\u202f234\u202f506,00",
        "27'831'234'506",
        "27'831'234'506.00",
        "27,83,12,34,506",
        "tel:27831234506",
        "Mobile: 27831234506",
        "\t27831234506\r\n",
        "'27831234506.0",
        '="27831234506.0"',
    ],
)
def test_a_cell_that_kept_all_digits_is_the_number(cell: str) -> None:
    """Delivered to 278312345060, a ``.0`` is somebody else's message."""
    assert NUMBER == restore(cell)


@pytest.mark.parametrize(
    "cell", ["+27831234506.0", "+2.7831234506E+10", "=+27831234506", "p:+27831234506", "'+27831234506"]
)
def test_a_plus_is_kept(cell: str) -> None:
    """It says that the country code is there."""
    assert "+27831234506" == restore(cell)


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("2.78E+10", "the last 8 digits are lost"),
        ("2,78E+10", "the last 8 digits are lost"),
        ("2.78312E+10", "the last 5 digits are lost"),
        ("2.783123450E+10", "the last 1 digits are lost"),
        ("3E+10", "the last 10 digits are lost"),
        ("2.7831234506E-10", "not a whole number"),
        ("2.78312345067E+10", "not a whole number"),
        ("27831234506.5", "has decimals"),
        ("27831234506.25", "has decimals"),
        ("27831234506,5", "has decimals"),
        ("27831234506.125", "has decimals"),
        ("2783123.0000", "can be read as"),
        ("27.0 831234506.0", "decimals within"),
        ("1234567890123450", "keeps 15"),
        ("083 123 45.00", "digits or decimals"),
        ("2024-05-12", "is a date"),
        ("2024-05-12 00:00:00", "is a date"),
        ("12/05/2024", "is a date"),
        ("5.12.2024", "is a date"),
        ("########", "too narrow"),
        ("#N/A", "error of a spreadsheet"),
        ("#REF!", "error of a spreadsheet"),
        ("NULL", "missing number"),
        ("nan", "missing number"),
        ("<NA>", "missing number"),
        ("None", "missing number"),
        ("\\N", "missing number"),
        ("-", "missing number"),
        ("27831234506/27831234507", "two numbers"),
        ("27831234506; 27831234507", "two numbers"),
        ("27831234506\n27831234507", "two numbers"),
        ("0831234506 or 0831234507", "two numbers"),
        ("27831234506,27831234507", "two numbers"),
        ("27831234506, 27831234507", "two numbers"),
        ("+27831234506,27831234510", "two numbers"),
        ("27831234506,27831234507,27831234508", "3 numbers"),
    ],
)
def test_a_cell_that_lost_a_digit_is_refused_for_what_it_is(cell: str, problem: str) -> None:
    """The remedy is in the spreadsheet; the digits are not in the file."""
    found = restore(cell)

    assert isinstance(found, Problem), found
    assert problem in found.problem
    assert found.remedy


@pytest.mark.parametrize(
    "cell",
    [
        "+27 83 123 4506",
        "(083) 123-4506",
        "01.23.45.67.89",
        "01.23.45.67.00",
        "0171.1234567",
        "305.555.1234",
        "0711/1234567",
        "44 (0)7700 900123",
        "555123",
        "",
        "unknown",
        "083 123 4506 ext 12",
    ],
)
def test_anything_else_is_left_to_the_parser_of_numbers(cell: str) -> None:
    """Spaces, dots, dashes and slashes are how people write numbers."""
    assert cell == restore(cell)


def test_a_short_number_loses_its_decimal_too() -> None:
    """With six digits, a ``.0`` would make a valid number of a small country."""
    assert ["555123", "27 831234506"] == [restore("555123.0"), restore("27 831234506.0")]


def test_a_float_is_its_digits_if_it_is_whole() -> None:
    """A JSON file has floats where a data frame had a missing value."""
    assert NUMBER == restore_float(27831234506.0)
    for value in (27831234506.5, float("nan"), float("inf"), 2.0**53):
        assert isinstance(restore_float(value), Problem)
