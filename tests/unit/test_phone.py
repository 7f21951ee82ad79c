"""Whatever people write becomes an MSISDN, or a refusal with code 105."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from threelane.contract import phone
from threelane.contract.refusal import Code, Refusal


@pytest.mark.parametrize(
    ("raw", "msisdn"),
    [
        ("27831234567", "27831234567"),
        ("+27831234567", "27831234567"),
        ("＋27 83 123 4567", "27831234567"),
        ("+27 (83) 123-4567", "27831234567"),
        ("27.83.123/4567", "27831234567"),
        ("+27\u00a083\u2009123\u20114567", "27831234567"),
        ("27831234567\n", "27831234567"),
        ("\u202a+27831234567\u202c", "27831234567"),
        ("٢٧٨٣١٢٣٤٥٦٧", "27831234567"),
        ("２７８３１２３４５６７", "27831234567"),
        (27831234567, "27831234567"),
        (27831234567.0, "27831234567"),
        ("0027831234567", "27831234567"),
        ("00 27 (0)83 123 4567", "27831234567"),
        ("٠٠٢٧٨٣١٢٣٤٥٦٧", "27831234567"),
        ("27.83.123.45.06", "27831234506"),
        ("27831234506.0", "27831234506"),
        ("tel:+27831234567", "27831234567"),
        ("+27831234506.00", "27831234506"),
        ("2.7831234506E+10", "27831234506"),
        ('="27831234506"', "27831234506"),
        ("'+27831234506", "27831234506"),
        ("44 (0)7700 900123", "447700900123"),
        ("54 2224 15-332086", "5492224332086"),
        ("14155552671", "14155552671"),
    ],
)
def test_numbers_as_people_write_them_are_normalised(raw: object, msisdn: str) -> None:
    """Signs, spaces, other scripts and a dialling prefix in brackets are habits, not mistakes."""
    assert msisdn == phone.parse(raw)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("0831234567", "starts with 0"),
        ("00027831234567", "starts with 0"),
        ("+0027831234567", "starts with 0"),
        ("2783", "digits"),
        ("1415555", "too short"),
        ("2783123456789", "wrong length"),
        ("1234567890123456", "digits"),
        ("99912345678", "no country"),
        ("49000000", "0 after its country code"),
        ("2783123456A", "other than digits"),
        ("CALL ME", "other than digits"),
        ("27831234567 ext 12", "extension"),
        ("27831234567x12", "extension"),
        ("27831234567,12", "decimals"),
        ("27831234567#12", "extension"),
        (None, "NoneType"),
        (True, "bool"),
        (27831234567.5, "decimals"),
        (float("nan"), "not a whole number"),
        (-27831234567, "negative"),
        ("27831234506.5", "decimals"),
        ("27.831.234.506.0", "decimals"),
        ("2.78312E+10", "digits are lost"),
        ("\ud83d27831234567", "other than digits"),
        ("2" * 1_000_000, "digits"),
    ],
)
def test_an_invalid_number_is_refused_with_its_reason(raw: object, problem: str) -> None:
    """The sentence names what is wrong, so that the list it came from can be corrected."""
    refused = phone.parse(raw, "to")

    assert isinstance(refused, Refusal)
    assert (Code.DESTINATION, "to") == (refused.code, refused.field)
    assert problem in refused.problem
    assert refused.remedy


@settings(deadline=None)
@given(some.text(some.characters(), max_size=40) | some.from_regex(r"\+?[0-9 ()\-]{5,20}", fullmatch=True))
def test_a_number_is_digits_without_a_leading_zero_or_refused(raw: str) -> None:
    """Nothing else is ever accepted, and nothing raises."""
    parsed = phone.parse(raw)

    if not isinstance(parsed, Refusal):
        assert parsed.isascii()
        assert parsed.isdigit()
        assert parsed[0] != "0"
        assert 7 <= len(parsed) <= 15


@settings(deadline=None)
@given(some.from_regex(r"[1-9][0-9]{7,13}", fullmatch=True))
def test_a_parsed_number_parses_to_itself(raw: str) -> None:
    """A number that was read back from a record is the same number."""
    parsed = phone.parse(raw)

    if not isinstance(parsed, Refusal):
        assert parsed == phone.parse(parsed)


@pytest.mark.parametrize(("msisdn", "masked"), [("27831234567", "27831******"), ("278", "278"), ("", "")])
def test_a_masked_number_shows_no_subscriber(msisdn: str, masked: str) -> None:
    """Logs show the country and the network, not the person."""
    assert masked == phone.mask(msisdn)
