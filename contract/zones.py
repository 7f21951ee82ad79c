"""Zones: the clocks by which a recipient may live, told by the number alone."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import phonenumbers
import tzdata

NOWHERE = ""
"""The country of numbers that have none: satellites, +800 and the like."""

_TELLING_DIGITS = {"1": 4, "7": 2, "262": 8}
"""Calling codes whose countries keep different clocks -> how many digits tell which country it is.

All other shared codes (44, 47, 590 ...) have the same clock in each of their countries, but for the landlines of
Christmas and Cocos Islands, which no SMS reaches; their mobiles are no different from Australia's.
"""
_LACKING = {"AC": "SH", "TA": "SH", "XK": "RS"}  # not in ISO 3166, so not in zone.tab: Ascension, Tristan, Kosovo
_MOST_PEOPLED = {  # where zone.tab goes from east to west, or north to south, and not by people
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
}
_TAILS = ("2345678901", "2222222222")  # one of them makes a valid number of any area that is in use


def country(msisdn: str) -> str:
    """Return the two letters of the number's country, NOWHERE when it has none.

    Within a shared calling code, a number that no country claims is the main country's (+1: the United States).
    """
    found, digits = _by_code(msisdn[:3])
    return _by_area(msisdn[:digits], len(msisdn)) if digits else found


@lru_cache(maxsize=512)
def zones(country: str) -> tuple[ZoneInfo, ...]:
    """Return a country's zones, that of most people first; UTC for NOWHERE.

    Source: zone.tab of the package tzdata, with its countries by ISO 3166.
    """
    names = _table().get(_LACKING.get(country, country), ["UTC"])
    first = _MOST_PEOPLED.get(country, names[0])
    return tuple(ZoneInfo(name) for name in sorted(names, key=lambda name: name != first))


@lru_cache(maxsize=1024)
def _by_code(prefix: str) -> tuple[str, int]:
    """Return the main country of a calling code, and how many digits to look at if there are others."""
    for code in (prefix[:1], prefix[:2], prefix[:3]):  # no code begins with another
        region = phonenumbers.region_code_for_country_code(int(code)) if code.isdigit() else "ZZ"
        if region != "ZZ":
            return (region if region.isalpha() else NOWHERE), _TELLING_DIGITS.get(code, 0)
    return NOWHERE, 0


@lru_cache(maxsize=32_768)
def _by_area(prefix: str, length: int) -> str:
    """Return the country of an area, whatever the rest of the number is: looking it up costs 50 microseconds."""
    main, _ = _by_code(prefix[:3])
    code = phonenumbers.country_code_for_region(main)
    for tail in _TAILS:
        national = (prefix + tail)[:length].removeprefix(str(code))
        number = phonenumbers.PhoneNumber(country_code=code, national_number=int(national or 0))
        region = phonenumbers.region_code_for_number(number)
        if region:
            return str(region)
    return main


@lru_cache(maxsize=1)
def _table() -> dict[str, list[str]]:
    table: dict[str, list[str]] = defaultdict(list)
    for line in (files(tzdata) / "zoneinfo" / "zone.tab").read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            code, _, name, *_ = line.split("\t")
            table[code].append(name)
    return dict(table)
