"""Bare numbers are read as the setting says, or refused with both readings, and never become another number."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat

from threelane.contract import message, numbering, phone, senders
from threelane.contract.message import Draft
from threelane.contract.reading import E164, INTERNATIONAL, Form, Reading, national_of, stored
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.contract.reply_address import parse_number
from threelane.runtime import number_files
from threelane.runtime.settings import InvalidSettings, Settings, load

# fmt: off
COUNTRIES = (
    "ZA", "DE", "GB", "FR", "IT", "ES", "NL", "BE", "PL", "HU", "RO", "CZ", "SE", "NO", "DK", "FI",
    "PT", "GR", "TR", "RU", "CN", "JP", "IN", "ID", "PH", "BR", "AR", "MX", "US", "NG", "KE", "EG",
)
# fmt: on
MOBILES = 200  # of each country


def _mobiles(country: str) -> list[tuple[str, str]]:
    """Return mobiles of a country: the number with its country code, and as people of the country write it."""
    chance = random.Random(country)
    description: Any = PhoneMetadata.metadata_for_region(country).mobile
    valid = re.compile(description.national_number_pattern)
    code = phonenumbers.country_code_for_region(country)
    found: dict[str, str] = {}
    while len(found) < MOBILES:
        begin = description.example_number[: chance.randint(0, 4)]
        rest = chance.choice(description.possible_length) - len(begin)
        digits = begin + "".join(chance.choices("0123456789", k=rest))
        if valid.fullmatch(digits):
            number = PhoneNumber(country_code=code, national_number=int(digits))
            found[f"{code}{digits}"] = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    return list(found.items())


@pytest.mark.parametrize("country", COUNTRIES)
def test_national_mobiles_reach_their_owners_with_the_country_and_none_without_a_plus(country: str) -> None:
    """Without a country, more than a third of these would go to strangers abroad."""
    mobiles = _mobiles(country)
    national = Reading(Form.NATIONAL, country)

    assert [number for number, _ in mobiles] == [phone.parse(written, "to", national) for _, written in mobiles]
    assert [number for number, _ in mobiles] == [
        phone.parse(re.sub(r"\D", "", written), "to", national) for _, written in mobiles
    ]
    assert {Refusal} == {type(phone.parse(written, "to", E164)) for _, written in mobiles}
    for reading in (INTERNATIONAL, national, E164):  # a plus or 00 needs no reading
        assert [number for number, _ in mobiles] == [phone.parse(f"+{one}", "to", reading) for one, _ in mobiles]
        assert [number for number, _ in mobiles] == [phone.parse(f"00{one}", "to", reading) for one, _ in mobiles]


@pytest.mark.parametrize("country", ["US", "CA", "JM"])
@pytest.mark.parametrize("raw", ["1-202-555-0133", "12025550133", "(202) 555-0133", "1 (202) 555 0133"])
def test_the_1_of_north_america_is_also_its_dialling_prefix(raw: str, country: str) -> None:
    """Both readings are one person, so there is nothing to refuse."""
    assert "12025550133" == phone.parse(raw, "to", national_of(country))


@pytest.mark.parametrize(("raw", "country"), [("083 007.0", "ZA"), ("312 345.0", "AD"), ("312 345.00", "AD")])
def test_the_decimals_of_a_short_number_are_no_digits(raw: str, country: str) -> None:
    """Also in numbers of 6 digits."""
    read = phone.parse(raw, "to", national_of(country))
    assert isinstance(read, Refusal) or read == phone.parse(raw.partition(".")[0], "to", national_of(country))


def test_a_number_of_ours_is_read_as_those_of_recipients() -> None:
    """Also one that a spreadsheet gave decimals; a short code keeps its digits."""
    read = {"+27831234567.0": "27831234567", "72975": "72975", "72 975": "72975", "72975.0": "72975"}
    assert read == {raw: parse_number(raw) for raw in read}
    for raw in ("+39 (0)333 1234567", "27831234567/8", "1234567/8", "ACME"):
        with pytest.raises(ValueError, match="is not a number that receives replies"):
            parse_number(raw)


def test_a_float_column_never_reaches_another_number() -> None:
    """A 0 behind the decimal point is no digit of the number: ten per country of 32."""
    numbers = [number for country in COUNTRIES for number, _ in _mobiles(country)[:10]]

    for suffix in (".0", ".00", ".000", ",0"):
        read = [phone.parse(number + suffix) for number in numbers]
        assert [] == [one for one, number in zip(read, numbers, strict=True) if one not in (number, *_refused(one))]
    assert numbers == [phone.parse(number + ".0") for number in numbers]
    assert numbers == [phone.parse(float(number)) for number in numbers]
    for number in numbers:
        assert number == phone.parse(f"{number[0]}.{number[1:]}E+{len(number) - 1}")


def _refused(one: object) -> tuple[object, ...]:
    return (one,) if isinstance(one, Refusal) else ()


@pytest.mark.parametrize(
    ("raw", "country", "read"),
    [
        ("083 123 4567", "ZA", "27831234567"),
        (831234567, "ZA", "27831234567"),  # a database or a spreadsheet drops the 0
        ("831234567.0", "ZA", "27831234567"),
        ("083.123.4506", "ZA", "27831234506"),
        ("0151 23456789", "DE", "4915123456789"),
        ("8 (916) 123-45-67", "RU", "79161234567"),
        ("06 20 123 4567", "HU", "36201234567"),
        ("011 15-2345-6789", "AR", "5491123456789"),
        ("(202) 555-0133", "US", "12025550133"),
        ("9198765432", "IN", "919198765432"),  # starts with India's own code
        ("06 698 12345", "IT", "390669812345"),  # Italy keeps the 0
        ("00 49 151 23456789", "ZA", "4915123456789"),
    ],
)
def test_national_numbers_lose_their_dialling_prefix(raw: object, country: str, read: str) -> None:
    """Each country has its own: 0, 8, 06 or none."""
    assert read == phone.parse(raw, "to", Reading(Form.NATIONAL, country))


@pytest.mark.parametrize(
    ("raw", "reading", "named"),
    [
        ("27831234567", Reading(Form.NATIONAL, "ZA"), ("+2727831234567", "+27831234567", "ZA", "083 123 4567")),
        ("4915123456789", Reading(Form.NATIONAL, "DE"), ("+494915123456789", "+4915123456789", "01512 3456789")),
        ("12025550133", Reading(Form.NATIONAL, "GB"), ("wrong length", "GB", "international form")),
        ("011 27 83 123 4567", Reading(Form.NATIONAL, "US"), ("calls abroad from US", "+27831234567")),
        ("0831234567", Reading(Form.NATIONAL, "US"), ("starts with 0", "US")),
        ("123", Reading(Form.NATIONAL, "ZA"), ("too short", "ZA")),
        ("083 123 4567", E164, ("no +", "+27831234567")),
        ("2025550133", E164, ("+2025550133 of EG", "national number of another country", "write + first")),
    ],
)
def test_a_number_with_two_readings_is_refused_with_both(raw: str, reading: Reading, named: tuple[str, ...]) -> None:
    """A guess would send it to a stranger; the refusal names each reading with its country and the right form."""
    refused = phone.parse(raw, "mobile", reading)

    assert isinstance(refused, Refusal)
    assert (Code.DESTINATION, "mobile", Owner.PRODUCER) == (refused.code, refused.field, refused.owner)
    assert [] == [word for word in named if word not in str(refused)]


_AS_WRITTEN = r"[ (]{0,2}[0-9]{5,14}([ .\-/)][0-9]{1,4}){0,3}([.,][0-9]{1,3})?([eE]\+?[0-9]{1,2})?"
_READINGS = [INTERNATIONAL, *(Reading(Form.NATIONAL, country) for country in COUNTRIES)]
_TAIL = 5  # digits: as many as every dialling prefix leaves


@settings(deadline=None, max_examples=300)
@given(some.from_regex(_AS_WRITTEN, fullmatch=True), some.sampled_from(_READINGS))
def test_a_reading_changes_no_digits(raw: str, reading: Reading) -> None:
    """What is read ends in the digits that were written, apart from a decimal 0; all else is refused."""
    read = phone.parse(raw, "to", reading)

    if not isinstance(read, Refusal):
        mantissa = raw.lower().split("e")[0]
        written = {_digits(mantissa), _digits(re.sub(r"[.,]0{1,3}$", "", mantissa))}
        assert read[-_TAIL:] in {one[-_TAIL:] for one in written}


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


@pytest.fixture
def opened() -> Iterator[None]:
    """Open a range as an operator does."""
    numbering.open_ranges({"99912": [11, 13], "2799": [12]})
    yield
    numbering.open_ranges({})


@pytest.mark.parametrize("raw", ["99912345678", "+9991234567890", "279912345678"])
def test_an_operator_opens_a_range_that_the_metadata_lacks(opened: None, raw: str) -> None:
    """Numbering plans change faster than any copy of them."""
    assert raw.removeprefix("+") == phone.parse(raw)
    assert raw.removeprefix("+") == phone.parse(f"+{raw.removeprefix('+')}", "to", E164)


def test_an_opened_range_has_its_lengths_alone(opened: None) -> None:
    """A prefix without its length would open the door to typing errors."""
    assert isinstance(phone.parse("999123456789"), Refusal)
    assert "2799123456789" != phone.parse("2799123456789")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "has nothing instead of ranges"),
        ("[ranges", "is not TOML"),
        ('ranges = "27"', "is not a table"),
        ('[ranges]\n"+27" = [11]', "not the beginning"),
        ('[ranges]\n"0" = [11]', "not the beginning"),
        ('[ranges]\n"27" = 11', "needs lengths"),
        ('[ranges]\n"27" = [6]', "needs lengths"),
        ('[ranges]\n"27" = [16]', "needs lengths"),
        ('[ranges]\n"27" = [true]', "needs lengths"),
        ('other = 1\n[ranges]\n"27" = [11]', "has other instead of ranges"),
    ],
)
def test_a_wrong_file_of_ranges_is_named_at_the_start(tmp_path: Path, content: str, problem: str) -> None:
    """A file with a typing error must not open nothing in silence."""
    path = tmp_path / "ranges.toml"
    path.write_text(content)
    with pytest.raises(InvalidSettings, match=problem) as wrong:
        load(Settings, number_ranges_file=path)
    assert "THREELANE_NUMBER_RANGES_FILE" in str(wrong.value)


def test_a_file_of_ranges_is_in_force_from_the_start(tmp_path: Path) -> None:
    """No other step is needed."""
    path = tmp_path / "ranges.toml"
    path.write_text('[ranges]\n"99912" = [11]')
    try:
        load(Settings, number_ranges_file=path)
        assert "99912345678" == phone.parse("99912345678")
    finally:
        numbering.open_ranges({})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"numbers": "national"}, "THREELANE_NUMBERS: .*needs a country.*THREELANE_COUNTRY"),
        ({"numbers": "national:UK"}, "'UK' is not a country"),
        ({"numbers": "guess"}, "not a way to read numbers; write international, national:COUNTRY"),
        ({"numbers": "e164:ZA"}, "not a way to read numbers"),
        ({"country": "South Africa"}, "THREELANE_COUNTRY: .*two letters"),
        ({"senders_file": Path("/nowhere")}, "THREELANE_SENDERS_FILE: .*cannot be read"),
    ],
)
def test_a_wrong_reading_stops_the_process_with_the_right_form(settings: dict[str, Any], problem: str) -> None:
    """Otherwise the installation would read numbers as nobody intended."""
    with pytest.raises(InvalidSettings, match=problem):
        load(Settings, **settings)


@pytest.mark.parametrize(
    ("settings", "reading"),
    [
        ({}, INTERNATIONAL),
        ({"country": "ZA"}, INTERNATIONAL),
        ({"numbers": "national", "country": "za"}, Reading(Form.NATIONAL, "ZA")),
        ({"numbers": "National:DE", "country": "ZA"}, Reading(Form.NATIONAL, "DE")),
        ({"numbers": "e164"}, E164),
    ],
)
def test_the_installation_has_one_reading(settings: dict[str, Any], reading: Reading) -> None:
    """International unless it is set; the country alone is for the word national elsewhere."""
    assert reading == load(Settings, **settings).reading


def test_a_message_names_its_country() -> None:
    """What forms and columns need; the country is no part of the content, which a repeated call compares."""
    by_country = message.parse({"to": "083 123 4567", "country": "ZA", "text": "x", "client_id": "1"}, 0, "shop")
    international = message.parse({"to": "+27831234567", "text": "x", "client_id": "1"}, 0, "shop")

    assert by_country == international
    assert isinstance(message.parse({"country": "ZA", "to": "07700 900123", "text": "x"}, 0, "", E164), Draft)
    assert isinstance(message.parse({"to": "083 123 4567", "country": "", "text": "x"}, 0, "", E164), Refusal)


def test_a_reading_of_a_later_version_requires_a_plus() -> None:
    """An unknown setting is never read as another one."""
    assert (None, E164, Reading(Form.NATIONAL, "ZA")) == (stored(""), stored("local"), stored("national:ZA"))


def test_names_are_refused_where_networks_take_none(tmp_path: Path) -> None:
    """The carrier would replace or refuse the name after the credit is spent."""
    path = tmp_path / "senders.toml"
    path.write_text('numeric_only = ["GG"]')
    with pytest.raises(ValueError, match="cannot be told from those of GB"):
        number_files.numeric_countries(path)
    path.write_text('numeric_only = ["us", "CA"]')
    countries = load(Settings, senders_file=path).numeric_countries
    refused = senders.refuse("ACME", "12025550133", countries)

    assert isinstance(refused, Refusal)
    assert (Code.SENDER, "sender") == (refused.code, refused.field)
    assert "networks of US" in refused.problem
    assert isinstance(senders.refuse("ACME", "14165550133", countries), Refusal)
    assert [None] * 3 == [
        senders.refuse("12025550100", "12025550133", countries),
        senders.refuse("ACME", "27831234567", countries),
        senders.refuse("", "12025550133", countries),
    ]


@pytest.mark.parametrize("sender", ["...", "A", "00000", "0044770090012", "H&M", "my-shop", "my_shop", "shop.ex"])
def test_senders_that_earlier_versions_took_are_still_read(sender: str) -> None:
    """Their messages and holds may still be stored."""
    assert isinstance(senders.parse(sender, "sender"), Refusal)
    assert sender == senders.parse_stored(sender, "sender")
