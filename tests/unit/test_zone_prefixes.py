"""Zones by prefix: where the area code tells the zone, that zone; elsewhere all zones of the country."""

from __future__ import annotations

import re
from pathlib import Path

import phonenumbers
import pytest

from tests.layout import ROOT
from threelane.contract import zones
from threelane.contract.zone_prefixes import PREFIXES, SOURCE

TOLL_FREE = "18005551234"


def names(to: str) -> str:
    """Return the zones of a number by their names, "all of XX" if the country decides."""
    found = zones.place(to)
    if len(found.zones) > 1 and not found.prefix:
        return f"all of {found.country}"
    return " ".join(sorted(zone.key for zone in found.zones))


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("12125551234", "America/New_York"),
        ("13125551234", "America/Chicago"),
        ("15205551234", "America/Phoenix"),
        ("12135551234", "America/Los_Angeles"),
        ("18085551234", "Pacific/Honolulu"),
        ("12702021234", "America/Chicago"),  # an exchange in Kentucky that the table lists
        ("12705551234", "America/Chicago America/New_York"),  # one that it does not list: either clock
        ("13645551234", "America/Chicago America/New_York"),  # the overlay of the same area
        (TOLL_FREE, "all of US"),
        ("12995551234", "all of US"),  # an area code that is not in use
        ("14165551234", "America/Toronto"),
        ("16045551234", "America/Vancouver"),
        ("13065551234", "America/Regina"),
        ("14745551234", "America/Regina"),
        ("16005551234", "all of CA"),  # Canada's code for no place
        ("18765551234", "America/Jamaica"),
        ("525512345678", "America/Mexico_City"),
        ("5215512345678", "America/Mexico_City"),  # as it was written until 2019
        ("526641234567", "America/Tijuana"),
        ("529981234567", "America/Cancun"),
        ("5511961234567", "America/Sao_Paulo"),
        ("5592991234567", "America/Manaus"),
        ("5591991234567", "America/Sao_Paulo"),
        ("5581991234567", "America/Noronha America/Recife"),
        ("74951234567", "Europe/Moscow"),
        ("74012345678", "Europe/Kaliningrad"),
        ("78452123456", "Europe/Saratov"),
        ("74232123456", "Asia/Vladivostok"),
        ("79161234567", "all of RU"),  # mobile numbers of these countries have no area codes
        ("78001234567", "all of RU"),
        ("61412345678", "all of AU"),
        ("628121234567", "all of ID"),
        ("34612345678", "all of ES"),
        ("351912345678", "all of PT"),
        ("77011234567", "all of KZ"),
        ("61291234567", "Australia/Sydney"),
        ("61732123456", "Australia/Brisbane Australia/Sydney"),
        ("34922123456", "Atlantic/Canary"),
        ("27831234567", "Africa/Johannesburg"),
        ("881612345678", "UTC"),
    ],
)
def test_a_number_has_the_zone_of_its_area_code_or_all_of_its_country(to: str, expected: str) -> None:
    """A message in New York waits for nobody in Hawaii; a number that may be anywhere waits for all."""
    assert expected == names(to)


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("12125551234", "America/New_York, by the prefix 1212"),
        ("79161234567", "all 26 zones of RU"),
        ("27831234567", "Africa/Johannesburg, the zone of ZA"),
        ("881612345678", "UTC, since the number has no country"),
    ],
)
def test_a_place_names_its_zones_and_why(to: str, expected: str) -> None:
    """An operator sees whether the prefix or the country decided."""
    assert expected == str(zones.place(to))


def test_the_table_is_of_the_locked_version_of_the_numbers() -> None:
    """A new version of phonenumberslite knows new area codes: python -m deploy.zone_prefixes."""
    locked = re.search(r"^phonenumberslite==(\S+)", _locked(), re.MULTILINE)
    assert locked
    assert f"phonenumbers {locked[1]}" == SOURCE


def _locked() -> str:
    return Path(ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")


def test_the_table_names_zones_of_the_country_of_each_prefix() -> None:
    """A name that the country does not have would leave its prefix without effect."""
    wrong = {
        prefix: found
        for found, prefixes in PREFIXES.items()
        for prefix in prefixes.split()
        if not set(found.split()) <= {zone.key for zone in zones.zones(zones.country(prefix.ljust(11, "5")))}
    }
    assert {} == wrong
    every = [prefix for prefixes in PREFIXES.values() for prefix in prefixes.split()]
    assert len(every) == len(set(every))
    assert max(map(len, every)) == zones._LONGEST_PREFIX


def test_no_mobile_number_outside_america_has_the_zone_of_a_prefix() -> None:
    """Where mobile numbers have no area codes, a prefix tells the network alone."""
    found = {}
    for region in phonenumbers.SUPPORTED_REGIONS:
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if number and number.country_code not in (1, 52, 55):
            place = zones.place(f"{number.country_code}{number.national_number}")
            found |= {region: place.prefix} if place.prefix else {}
    assert {} == found


def test_a_zone_that_this_machine_lacks_leaves_the_country(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is newer than the time zones is no reason to send at night, or to fail."""
    monkeypatch.setattr(zones, "_prefixes", lambda: {"1212": frozenset({"America/New_York", "America/Atlantis"})})
    zones._by_prefix.cache_clear()
    try:
        assert zones.Place("US", zones.zones("US")) == zones.place("12125551234")
    finally:
        zones._by_prefix.cache_clear()
