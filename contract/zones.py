"""Zones: the time zones in which a recipient may live, derived from the number alone."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

import phonenumbers
import tzdata

NOWHERE = ""
"""For numbers without a country: satellites, +800 and the like."""
COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""The two-letter codes of all countries."""

_COUNTRY_DIGITS = {"1": 4, "7": 2, "262": 8}
"""Calling codes whose countries have different zones -> how many digits identify the country.

All other shared codes (44, 47, 590 ...) have the same zone in each of their countries, except the landlines of
Christmas and Cocos Islands, which no SMS reaches; their mobile numbers look like Australia's.
"""
_LACKING = {"AC": "SH", "TA": "SH", "XK": "RS"}  # not in ISO 3166, so not in zone.tab: Ascension, Tristan, Kosovo
_MOST_PEOPLED = {  # where the first zone in zone.tab is not the one with the most people
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
}
_LONGEST_PREFIX = 8
_TAILS = ("2345678901", "2222222222")  # for each area in use, one of them completes a valid number


class Place(NamedTuple):
    """Where a recipient may live: the country, and its zones or those of the prefix, "" if the country decides."""

    country: str
    zones: tuple[ZoneInfo, ...]
    prefix: str = ""

    def __str__(self) -> str:
        """Return the zones and their reason, as in ``America/New_York, by the prefix 1212``."""
        names = ", ".join(zone.key for zone in self.zones)
        if self.prefix:
            return f"{names}, by the prefix {self.prefix}"
        if len(self.zones) > 1:
            return f"all {len(self.zones)} zones of {self.country}"
        return f"{names}, the zone of {self.country}" if self.country else f"{names}, since the number has no country"


def place(msisdn: str) -> Place:
    """Return where the owner of a number may live: in the zones of its area code, else in any of its country."""
    found = country(msisdn)
    every = zones(found)
    if len(every) == 1:
        return Place(found, every)
    if msisdn.startswith("521") and len(msisdn) == 13:  # Mexican mobile numbers as they were written until 2019
        msisdn = f"52{msisdn[3:]}"
    return _by_prefix(found, msisdn[:_LONGEST_PREFIX])


def country(msisdn: str) -> str:
    """Return the two-letter code of the number's country, NOWHERE if it has none.

    Within a shared calling code, an unassigned number counts as the main country's (+1: the United States).
    """
    found, digits = _by_code(msisdn[:3])
    return _by_area(msisdn[:digits], len(msisdn)) if digits else found


@lru_cache(maxsize=512)
def zones(country: str) -> tuple[ZoneInfo, ...]:
    """Return a country's zones, the one with the most people first; UTC for NOWHERE.

    Source: zone.tab of the package tzdata, with its countries by ISO 3166.
    """
    names = _table().get(_LACKING.get(country, country), ["UTC"])
    first = _MOST_PEOPLED.get(country, names[0])
    return tuple(ZoneInfo(name) for name in sorted(names, key=lambda name: name != first))


@lru_cache(maxsize=32_768)
def _by_prefix(country: str, digits: str) -> Place:
    """Return the place by the longest known prefix; the whole country if an older tzdata lacks one of its zones."""
    every, table = zones(country), _prefixes()
    prefix = next((digits[:length] for length in range(len(digits), 0, -1) if digits[:length] in table), "")
    names = table.get(prefix, frozenset())
    found = tuple(zone for zone in every if zone.key in names)
    return Place(country, found, prefix) if found and len(found) == len(names) else Place(country, every)


@lru_cache(maxsize=1)
def _prefixes() -> dict[str, frozenset[str]]:
    from threelane.contract.zone_prefixes import PREFIXES  # only for countries with several zones

    return {prefix: frozenset(names.split()) for names, found in PREFIXES.items() for prefix in found.split()}


@lru_cache(maxsize=1024)
def _by_code(prefix: str) -> tuple[str, int]:
    """Return the main country of a calling code, and how many digits identify the others, 0 if there are none."""
    for code in (prefix[:1], prefix[:2], prefix[:3]):  # no code is a prefix of another
        region = phonenumbers.region_code_for_country_code(int(code)) if code.isdigit() else "ZZ"
        if region != "ZZ":
            return (region if region.isalpha() else NOWHERE), _COUNTRY_DIGITS.get(code, 0)
    return NOWHERE, 0


@lru_cache(maxsize=32_768)
def _by_area(prefix: str, length: int) -> str:
    """Return the country of an area; cached, since a look-up takes 50 microseconds."""
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
