"""Grouping: punctuation never makes a number of another person."""

from __future__ import annotations

from re import _parser  # type: ignore[attr-defined]
from typing import Any

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from threelane.contract import numbering, phone
from threelane.contract.reading import INTERNATIONAL, national_of, parse_reading
from threelane.contract.refusal import Refusal
from threelane.contract.subscriber import subscriber

MOBILES = {
    region: number
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if (number := phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE))
}
DIGITS = {region: subscriber(numbering.written(number)) for region, number in MOBILES.items()}


def code_and_rest(number: Any) -> tuple[str, str]:
    code = str(number.country_code)
    return code, numbering.written(number).removeprefix(code)


@pytest.mark.parametrize(
    "form", ["+{} (0){}", "+{} ( 0 ) {}", "(+{})(0){}", "00{} (0){}", "+{} 0 {}", "{} (0){}", "+{} (٠){}"]
)
def test_a_0_in_brackets_never_becomes_a_digit(form: str) -> None:
    """It is removed, or refused where it can be a digit of the number: with the 0, an Italian mobile is a landline."""
    read = {region: phone.parse(form.format(*code_and_rest(number))) for region, number in MOBILES.items()}
    assert {} == {
        region: result
        for region, result in read.items()
        if not isinstance(result, Refusal) and result != DIGITS[region]
    }
    accepted = {region for region, result in read.items() if not isinstance(result, Refusal)}
    assert {"GB", "DE", "ZA", "CZ", "PL", "GR", "HK", "CO"} <= accepted


def test_a_0_that_can_be_a_digit_is_refused_with_both_readings() -> None:
    """Italian landlines keep the 0 and mobiles have none: Threelane does not choose."""
    refused = phone.parse("+39 (0)333 1234567")
    assert isinstance(refused, Refusal)
    assert "+3903331234567 or +393331234567" in refused.problem
    assert "390612345678" == phone.parse("+39 06 1234 5678")


def test_a_country_code_and_a_0_in_brackets_are_no_national_number() -> None:
    """49 (0)151 is in international form, whatever the setting of bare numbers."""
    refused = phone.parse("49 (0)151 23456789", "to", national_of("DE"))
    assert isinstance(refused, Refusal)
    assert "write +49 first" == refused.remedy
    assert "4915123456789" == phone.parse("(0)151 23456789", "to", national_of("DE"))


@pytest.mark.parametrize(
    "tail",
    ["/8", " / 8", "/08", "/568", "/8/9", "\n8", "-8", " - 8", "-12", "\u20138", "-4568", " (8)", "(12)", " 8", " 12"],
)
@pytest.mark.parametrize("reading", ["international", "national"])
def test_a_second_number_or_an_extension_never_becomes_digits(tail: str, reading: str) -> None:
    """27831234567/8 is 27831234567 or 27831234568, and no third number."""
    for region, number in MOBILES.items():
        is_bare = reading == "national"
        text = phonenumbers.national_significant_number(number) if is_bare else numbering.written(number)
        if len(text) < (5 if set(tail) & set("/\n(") else 9):
            continue  # digits behind a space or a dash are usual in short numbers
        result = phone.parse(text + tail, "to", national_of(region) if is_bare else INTERNATIONAL)
        assert isinstance(result, Refusal), f"{text + tail} {region}: {result}"


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("+27 83 123 4567/8", "international"),
        ("+27 83 123 4567-12", "international"),
        ("0151 2345678/90", "national:DE"),
        ("0151 2345 6789-12", "national:DE"),
        ("083 123 4567-8", "national:ZA"),
        ("083-123-4567-8", "national:ZA"),
    ],
)
def test_also_in_a_number_with_spaces(text: str, reading: str) -> None:
    """Groups of digits do not hide them."""
    assert isinstance(phone.parse(text, "to", parse_reading(reading)), Refusal)


@pytest.mark.parametrize(
    ("text", "reading", "digits"),
    [
        ("+32 475/12/34/56", "international", "32475123456"),
        ("+7 912 345-67-89", "international", "79123456789"),
        ("+43 664 123-45-67", "international", "436641234567"),
        ("+62 812-3456-789", "international", "628123456789"),
        ("+49 (0)151/23456789", "international", "4915123456789"),
        ("+49 34297/12345", "international", "493429712345"),
        ("2 7 8 3 1 2 3 4 5 6 7", "international", "27831234567"),
        ("06/12/34/56/78", "national:FR", "33612345678"),
        ("030/123 45-67", "national:DE", "49301234567"),
    ],
)
def test_the_usual_forms_of_countries_are_read(text: str, reading: str, digits: str) -> None:
    """Slashes and dashes between the groups of one number are punctuation."""
    assert digits == phone.parse(text, "to", parse_reading(reading))


@pytest.mark.parametrize("between", [" ", "-", ".", "/"])
def test_every_country_is_read_in_its_own_form(between: str) -> None:
    """As libphonenumber writes it, internationally and nationally, also with other punctuation."""
    wrong = {}
    for region, number in MOBILES.items():
        form = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
        code, _, rest = form.partition(" ")
        form = code + " " + rest.replace(" ", between).replace("-", between)
        if (result := phone.parse(form)) != DIGITS[region]:
            wrong[form] = result
    assert {} == wrong


def test_the_calling_codes_with_a_0_are_those_of_the_metadata() -> None:
    """A new version of phonenumberslite may know others."""
    found = {
        code
        for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
        for region in regions
        if begins_with_zero(PhoneMetadata.metadata_for_region_or_calling_code(code, region))
    }
    assert numbering._BEGIN_WITH_ZERO == found


def begins_with_zero(metadata: Any) -> bool:
    return can_begin(_parser.parse(metadata.general_desc.national_number_pattern))[0]


def can_begin(sequence: Any) -> tuple[bool, bool]:
    """Return whether a parsed pattern can match a text that begins with 0, and whether it can match nothing."""
    for operator, value in sequence:
        match str(operator):
            case "LITERAL":
                return value == ord("0"), False
            case "IN":
                return any(includes_zero(*one) for one in value), False
            case "MAX_REPEAT":
                begins, is_optional = can_begin(value[2])
                is_optional |= value[0] == 0
            case "SUBPATTERN":
                begins, is_optional = can_begin(value[-1])
            case "BRANCH":
                found = [can_begin(one) for one in value[1]]
                begins, is_optional = any(one for one, _ in found), any(one for _, one in found)
            case _:
                raise AssertionError(operator)
        if begins or not is_optional:
            return begins, False
    return False, True


def includes_zero(operator: Any, value: Any) -> bool:
    if str(operator) == "RANGE":
        return bool(value[0] <= ord("0") <= value[1])
    return str(operator) == "CATEGORY" or value == ord("0")
