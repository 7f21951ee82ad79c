"""Numbers of seconds, minutes and credits: as a file writes them, and nothing that only Python reads as a number."""

from __future__ import annotations

from decimal import Decimal

import pytest

from threelane.contract import fields
from threelane.contract.quantity import number
from threelane.contract.refusal import Code, Refusal


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        *((10, 10.0), (0.5, 0.5), (Decimal("2.5"), 2.5), ("10", 10.0), (" 10 ", 10.0), ("1.50\n", 1.5), (".5", 0.5)),
        *(("5.", 5.0), ("+5", 5.0), ("-5", -5.0), ("1E+01", 10.0)),
    ],
)
def test_a_number_is_read_as_it_is_written(raw: object, value: float) -> None:
    """By JSON, by a spreadsheet, by a person."""
    assert value == number(raw)


@pytest.mark.parametrize(
    "raw",
    [
        *("1_0", "\u0661\u0660", "", " ", "nan", "inf", "1 0", "1,5", "0x10", "ten", ".", "1e", True, None, b"10"),
        *(bytearray(b"10"), float("nan"), 10**400, Decimal("sNaN"), [10], object()),
    ],
)
def test_anything_else_is_no_number(raw: object) -> None:
    """``float`` takes some of them."""
    assert number(raw) is None


@pytest.mark.parametrize("name", ["delay", "retry_every", "stop_retrying_after", "max_credits"])
def test_a_field_of_a_number_takes_no_python_literal(name: str) -> None:
    """1_0 was 10 seconds."""
    parsed = [fields.BY_SPELLING[name].parse(raw, name) for raw in ("1_0", "2_", b"1")]
    assert [Refusal] * 3 == [type(one) for one in parsed]


OF_NUMBERS = "delay deliv_time scheduled_time retry_every stop_retrying_after max_credits queue validity callback"


@pytest.mark.parametrize("name", OF_NUMBERS.split())
def test_a_cell_with_spaces_around_its_number_is_the_number(name: str) -> None:
    """In every column alike."""
    parse = fields.BY_SPELLING[name].parse
    assert not isinstance(parse("2", name), Refusal)
    assert parse("2", name) == parse(" 2 ", name)


@pytest.mark.parametrize("sender", [-1, "-1", " -27831234567 ", "+-1", -1.0, "'-1", "--1"])
def test_a_negative_number_is_no_sender(sender: object) -> None:
    """It was sent with the sender 1."""
    parsed = fields.BY_SPELLING["from"].parse(sender, "from")
    assert isinstance(parsed, Refusal)
    assert (Code.SENDER, "from") == (parsed.code, parsed.field)


@pytest.mark.parametrize("sender", ["+27 83 123-4567", "27-83-123-4567", 27831234567, 27831234567.0])
def test_dashes_within_a_sender_separate_its_digits(sender: object) -> None:
    """As people write numbers."""
    assert "27831234567" == fields.BY_SPELLING["from"].parse(sender, "from")


@pytest.mark.parametrize("value", [0, False, [], {}, b"", 0.0])
def test_what_is_empty_but_no_text_is_no_country(value: object) -> None:
    """An empty cell means no country; a value of another type is a bug of the caller."""
    assert fields.BY_SPELLING["country"].parse("", "country") is None
    assert isinstance(fields.BY_SPELLING["country"].parse(value, "country"), Refusal)


def test_tags_of_mixed_types_are_refused_and_do_not_raise() -> None:
    """A set is sorted before its members are read."""
    assert isinstance(fields.BY_SPELLING["tags"].parse({"a", 1}, "tags"), Refusal)
