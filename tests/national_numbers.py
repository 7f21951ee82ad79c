"""National numbers: valid mobiles of many countries as people write them at home, from the metadata."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

COUNTRIES = (
    "AR AU BD BE BR CH CN DE EG ES FR GB ID IN IT JP KE KR MX MY NG NL PH PK PL SA SE TH TR US VN ZA".split()  # noqa: SIM905
)
"""32 countries of every continent."""
MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


class NationalNumber(NamedTuple):
    """A mobile: digits as people of its country write them, without what a database drops, and its MSISDN."""

    country: str
    national: str  # with the national dialling prefix where the country writes one
    msisdn: str


def mobiles(each: int = 200, countries: tuple[str, ...] = tuple(COUNTRIES), seed: int = 17) -> Iterator[NationalNumber]:
    """Yield ``each`` valid mobiles of each country; the same ones for the same seed."""
    chance = random.Random(seed)
    for country in countries:
        found: dict[str, NationalNumber] = {}
        while len(found) < each:
            one = _mobile(country, chance)
            if one:
                found[one.msisdn] = one
        yield from found.values()


def _mobile(country: str, chance: random.Random) -> NationalNumber | None:
    example = phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE)
    assert example
    digits = phonenumbers.national_significant_number(example)
    kept = chance.randrange(1, 4)
    drawn = digits[:kept] + "".join(str(chance.randrange(10)) for _ in digits[kept:])
    number = phonenumbers.parse(f"+{example.country_code}{drawn}")
    if not phonenumbers.is_valid_number_for_region(number, country) or phonenumbers.number_type(number) not in MOBILE:
        return None
    written = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    national = "".join(letter for letter in written if letter.isdigit())
    return NationalNumber(country, national, phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:])
