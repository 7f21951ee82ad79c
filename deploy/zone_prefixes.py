"""Zone prefixes: the time zones of area codes; ``python -m deploy.zone_prefixes > contract/zone_prefixes.py``.

phonenumberslite has no time zones, and the full package phonenumbers has the same import name.  So the script downloads
the full package in the version of the installed phonenumberslite, reads its data in a process of its own, and installs
nothing.  With the path of a wheel as its argument, it downloads nothing either.  Run it after each change of
phonenumberslite; a test compares the versions.

Kept are prefixes of countries with several clocks.  What a prefix does not tell reliably becomes "all zones of the
country": mobile numbers outside MOBILE_HAS_AREA_CODES, and zones that are not the country's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from textwrap import fill

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberType

from threelane.contract import zones

Prefixes = dict[str, tuple[str, ...]]
"""Prefix -> names of its zones, none: all zones of the country; the longest prefix of a number counts."""

ALL: tuple[str, ...] = ()
MOBILE_HAS_AREA_CODES = ("1", "52", "55")
"""Calling codes whose mobile numbers have the area codes of landlines: North America, Mexico and Brazil."""

SAME_AREA = {  # overlays: a second code for an area that keeps two clocks, which the source lists for the first alone
    "1236": "1250", "1672": "1250", "1778": "1250", "1364": "1270", "1367": "1418", "1581": "1418", "1448": "1850",
    "1458": "1541", "1879": "1709", "1930": "1812",
}  # fmt: skip
CORRECTIONS = {  # prefixes -> zones, where the source is wrong; each replaces the source's longer prefixes, too
    "1474": "America/Regina",  # all of Saskatchewan, which has no summer time
    "243": "",  # the Congo: some of its eastern provinces have the capital's time
    # Mexico: in 2022 the state of Chihuahua left the time of Mazatlan, and its border that of the state
    "52614 52621 52625 52626 52627 52628 52629 52635 52636 52639 52648 52649 52652 52659":
        "America/Chihuahua America/Ciudad_Juarez America/Ojinaga",
    "52868 52891 52897": "America/Matamoros America/Monterrey",  # the border of Tamaulipas
    "52663": "America/Tijuana",
    # Brazil: an area code lies in one state; the source divides some of them by digits that say nothing of the place
    "5555 5591 5593 5594 5596 5598 5599": "America/Sao_Paulo",
    "5567": "America/Campo_Grande",
    "5569": "America/Porto_Velho",
    "5581": "America/Recife America/Noronha",
    "5592": "America/Manaus",
    "5595": "America/Boa_Vista",
    "5597": "America/Manaus America/Eirunepe",
    "617": "Australia/Brisbane Australia/Sydney",  # Queensland, and a corner of New South Wales
    "618": "Australia/Adelaide Australia/Darwin Australia/Perth",
    "7401": "Europe/Kaliningrad",  # the source has Bucharest, which has summer time
    "7845": "Europe/Saratov",  # since 2016
}  # fmt: skip
_HEADER = '''"""Zone prefixes: the time zones of area codes; written by deploy/zone_prefixes.py.

Source: the time zones of phonenumbers {version} (libphonenumber, Apache-2.0), with the corrections of that script.
"""

from __future__ import annotations

SOURCE = "phonenumbers {version}"
PREFIXES = {{
'''
_SAMPLES = 300
_CLOCK_YEARS = range(2026, 2032)


def read_source(wheel: Path) -> Prefixes:
    """Return the time zones of the full package, without importing it here."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from phonenumbers.tzdata import TIMEZONE_DATA as found; "
        "json.dump(found, sys.stdout)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(wheel)], check=True, capture_output=True, text=True)
    return {prefix: tuple(names) for prefix, names in json.loads(done.stdout).items()}


def download(folder: Path) -> Path:
    """Download the wheel of the full package, in the version of the light one."""
    wanted = f"phonenumbers=={phonenumbers.__version__}"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(folder)]
    subprocess.run([*pip, wanted], check=True, stdout=sys.stderr)
    return next(folder.glob("phonenumbers-*.whl"))


def table(source: Mapping[str, tuple[str, ...]]) -> Prefixes:
    """Return the shortest table that gives each number its zones."""
    found = {prefix: names for prefix, names in source.items() if not _is_calling_code(prefix)}
    corrections = {prefix: names for prefixes, names in CORRECTIONS.items() for prefix in prefixes.split()}
    for prefix, names in corrections.items():
        found = {one: of_one for one, of_one in found.items() if not one.startswith(prefix)}
        found[prefix] = tuple(names.split())
    found = {prefix: _names(prefix, names) for prefix, names in found.items() if len(_clocks(_country(prefix))) > 1}
    found |= _areas(found)
    found |= {overlay: found[area] for overlay, area in SAME_AREA.items()}
    return {prefix: names for prefix, names in sorted(found.items()) if names != _parent(found, prefix)}


def _areas(found: Prefixes) -> Prefixes:
    """Return North America's area codes with two clocks: an exchange that the source does not list has either."""
    areas: dict[str, set[str]] = defaultdict(set)
    for prefix, names in found.items():
        if prefix.startswith("1"):
            areas[prefix[:4]].update(names)
    return {area: tuple(sorted(names)) for area, names in areas.items() if len(_distinct(names)) > 1}


def _parent(found: Prefixes, prefix: str) -> tuple[str, ...]:
    shorter = (prefix[:length] for length in range(len(prefix) - 1, 0, -1))
    return next((found[one] for one in shorter if one in found), ALL)


def _names(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the country's own names of the zones, one for each clock; ALL where they are not reliable."""
    own = _clocks(_country(prefix))
    clocks = [_clock(name) for name in names]
    if not set(clocks) <= own.keys() or not _is_area(prefix):
        return ALL
    kept = {clock: name if name in own[clock] else own[clock][0] for clock, name in zip(clocks, names, strict=True)}
    return tuple(sorted(kept.values()))


def _is_area(prefix: str) -> bool:
    """Return whether all numbers of a prefix belong to a place."""
    if prefix.startswith(MOBILE_HAS_AREA_CODES):
        return True
    kinds = set(map(phonenumbers.number_type, _numbers(prefix))) - {PhoneNumberType.UNKNOWN}
    return kinds == {PhoneNumberType.FIXED_LINE}


def _numbers(prefix: str) -> Iterator[PhoneNumber]:
    region = _country(prefix)
    metadata, code = PhoneMetadata.metadata_for_region(region), phonenumbers.country_code_for_region(region)
    chance = Random(prefix)
    for length in metadata.general_desc.possible_length:
        missing = length + len(str(code)) - len(prefix)
        for _ in range(_SAMPLES if missing >= 0 else 0):
            digits = prefix + "".join(chance.choices("0123456789", k=missing))
            yield PhoneNumber(country_code=code, national_number=int(digits.removeprefix(str(code)) or 0))


def _is_calling_code(prefix: str) -> bool:
    return phonenumbers.region_code_for_country_code(int(prefix)) != "ZZ"


@cache
def _country(prefix: str) -> str:
    return zones.country(prefix.ljust(11, "5"))


@cache
def _clocks(country: str) -> dict[tuple[int, ...], list[str]]:
    """Return the clocks of a country and the zones that keep each."""
    found: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for zone in zones.zones(country):
        found[_clock(zone.key)].append(zone.key)
    return found


@cache
def _clock(name: str) -> tuple[int, ...]:
    """Return what the clocks of a zone show in the next years, by week."""
    zone = zones.ZoneInfo(name)
    weeks = (datetime(year, 1, 1, 12, tzinfo=UTC).timestamp() + 604_800 * n for year in _CLOCK_YEARS for n in range(52))
    return tuple(int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds()) for at in weeks)  # type: ignore[union-attr]


def _distinct(names: set[str]) -> set[tuple[int, ...]]:
    return set(map(_clock, names))


def module(prefixes: Prefixes) -> str:
    """Return the text of contract/zone_prefixes.py."""
    by_zones: dict[str, list[str]] = defaultdict(list)
    for prefix, names in prefixes.items():
        by_zones[" ".join(names)].append(prefix)
    lines = [_HEADER.format(version=phonenumbers.__version__)]
    for names, found in sorted(by_zones.items()):
        lines.append(f'    "{names}": """\n{fill(" ".join(found), 118)}\n""",\n')
    lines.append('}\n"""Zones, none: all of the country -> the prefixes; the longest prefix of a number counts."""\n')
    return "".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else download(Path(folder))
        sys.stdout.write(module(table(read_source(chosen))))
