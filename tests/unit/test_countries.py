"""A list of countries is read as it was meant, or refused with what was probably meant."""

from __future__ import annotations

import pytest

from threelane.contract import countries, zones
from threelane.contract.prices import country
from threelane.runtime.settings import InvalidSettings, ProducerSettings, load

RIGHT = {
    "ZA,NA": ("NA", "ZA"),
    " za ; na za": ("NA", "ZA"),
    "other,ZA": ("ZA", "other"),
    "any": (),
    "ANY": (),
}
WRONG = {
    "UK": "did you mean GB (Britain (UK))",
    "ZAF": "did you mean ZA (South Africa)",
    "South Africa": "ZA (South Africa)",
    "+27": "did you mean ZA",
    "0027": "did you mean ZA",
    "+44": "did you mean GB?",
    "GG": "numbers of GG (Guernsey) cannot be told from those of GB: write GB",
    "ZA,any": "'any' is not a country",
    "xx": "two letters of ISO 3166",
    "": "no country is given",
    " , ": "no country is given",
}


@pytest.mark.parametrize("text", RIGHT)
def test_a_list_is_read_in_any_case_and_order(text: str) -> None:
    assert countries.parse_countries(text) == RIGHT[text]


@pytest.mark.parametrize("text", WRONG)
def test_an_unknown_country_is_refused_with_the_nearest_ones(text: str) -> None:
    """A list with a wrong code would refuse the messages that it was made for."""
    with pytest.raises(ValueError, match=r"country|told") as refused:
        countries.parse_countries(text)
    assert WRONG[text] in str(refused.value)


def test_each_country_that_a_number_can_have_can_be_listed() -> None:
    """A number whose country no list can name could never be sent where a list exists."""
    counted = {zones.country(countries._example(code)) for code in zones.COUNTRIES}
    assert tuple(sorted(counted)) == countries.parse_countries(",".join(counted))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("12025550133", "US"),
        ("14165550133", "CA"),
        ("18765550133", "JM"),
        ("79161234567", "RU"),
        ("77011234567", "KZ"),
        ("447781123456", "GB"),
        ("881612345678", "other"),
    ],
)
def test_countries_that_share_a_calling_code_are_told_apart_by_the_area(number: str, expected: str) -> None:
    """US on a list does not open the Caribbean, whose calls cost more; Guernsey counts as GB."""
    assert country(number) == expected


def test_a_setting_with_an_unknown_country_ends_the_start() -> None:
    with pytest.raises(InvalidSettings, match=r"THREELANE_COUNTRIES.*did you mean GB"):
        load(ProducerSettings, countries="UK")
