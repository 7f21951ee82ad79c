"""Countries: the countries that messages may be sent to, as a list in settings, keys and producers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import phonenumbers
import tzdata

from threelane.contract import zones
from threelane.contract.prices import ELSEWHERE
from threelane.contract.refusal import Code, Owner, Refusal

ANY = "any"
"""How a list that allows every country is written."""
FORM = f"two letters of ISO 3166 each, or {ELSEWHERE} for numbers without a country, as in ZA,NA"
_MISTAKEN = {"UK": "GB", "EN": "GB", "EL": "GR", "SP": "ES", "USA": "US", "UAE": "AE", "RSA": "ZA"}
_SEPARATORS = re.compile(r"[,;\s]+")
MOST_NEAREST = 3
MOST_CALLING_CODE = 3  # digits


def parse_countries(text: str) -> tuple[str, ...]:
    """Return the countries of a list, sorted; () for ``any``.  Raises ValueError with the nearest correct forms."""
    words = [word for word in _SEPARATORS.split(text.strip()) if word]
    if not words:
        raise ValueError(f"no country is given; write {FORM}, or {ANY}")
    if [word.lower() for word in words] == [ANY]:
        return ()
    return tuple(sorted({_code(word) for word in words}))


def join(countries: Collection[str]) -> str:
    """Return a list as it is written in settings."""
    return ",".join(countries) or ANY


def refuse(country: str, allowed: Collection[str], whose: str, remedy: str) -> Refusal:
    """Return the refusal of a recipient in a country that is not on a list; ``whose`` names the list."""
    return Refusal(
        code=Code.DESTINATION,
        field="to",
        problem=f"the number is in {describe(country)}, and {whose} allows only {join(allowed)}",
        remedy=f"check the number; if it is right, ask an operator to add {country}: {remedy}",
        owner=Owner.OPERATOR,
    )


def refuse_of_producer(country: str, allowed: Collection[str], producer: str) -> Refusal:
    """Return the refusal of a recipient in a country that is not on the producer's list."""
    with_it = join(sorted({*allowed, country}))
    remedy = f"threelane producers set {shlex.quote(producer)} --countries {with_it}"
    return refuse(country, allowed, f"the list of the producer {producer!r}", remedy)


def describe(country: str) -> str:
    """Return a country for people: its code and its name."""
    if country == ELSEWHERE:
        return f"{ELSEWHERE} (no country: a satellite phone, +800 and the like)"
    name = _names().get(country, "")
    return f"{country} ({name})" if name else country


def _code(word: str) -> str:
    """Return the country of one word of a list; raises ValueError."""
    if word.lower() == ELSEWHERE:
        return ELSEWHERE
    return distinct(parse_country(word, FORM))


def parse_country(text: str, form: str = "the two letters of ISO 3166, as in ZA") -> str:
    """Return the code of a country; raises ValueError with those that were probably meant, or the correct ``form``."""
    word = text.strip()
    code = word.upper()
    if code in zones.COUNTRIES and code != zones.NOWHERE:
        return code
    near = " or ".join(_nearest(word)) if word else ""
    raise ValueError(
        f"{word[:40]!r} is not a country"
        + (f": did you mean {near}? Write the two letters" if near else f"; write {form}")
    )


def distinct(code: str) -> str:
    """Return a country whose mobile numbers can be told from those of others; raises ValueError with the other one."""
    if (counted := _counts_as().get(code, code)) != code:
        raise ValueError(f"numbers of {describe(code)} cannot be told from those of {counted}: write {counted}")
    return code


def _nearest(word: str) -> list[str]:
    """Return the codes that were probably meant: of a calling code, a name or a similar spelling."""
    digits, code = word.removeprefix("+").removeprefix("00"), word.upper()
    if digits.isascii() and digits.isdigit() and len(digits) <= MOST_CALLING_CODE:
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits), ())
        return [one for one in regions if _counts_as().get(one) == one][:MOST_NEAREST]
    if code in _MISTAKEN:
        return [describe(_MISTAKEN[code])]
    by_name = {name.lower(): one for one, name in _names().items()}
    names = [name for name in by_name if name.startswith(word.lower())] if len(word) > len(code[:2]) else []
    names = names or get_close_matches(word.lower(), by_name, MOST_NEAREST)
    if not names and len(code) == len("ZAF") and code[:2] in zones.COUNTRIES:
        return [describe(code[:2])]
    return [describe(by_name[name]) for name in names[:MOST_NEAREST]]


@cache
def _counts_as() -> dict[str, str]:
    """Return for each country the one that its mobile numbers count as: Guernsey shares +44, so it counts as GB."""
    return {code: zones.country(_example(code)) or code for code in zones.COUNTRIES}


def _example(code: str) -> str:
    """Return a mobile number of a country."""
    number = phonenumbers.example_number_for_type(code, phonenumbers.PhoneNumberType.MOBILE)
    number = number or phonenumbers.example_number(code) or phonenumbers.PhoneNumber()
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


@cache
def _names() -> dict[str, str]:
    """Return the English names of the countries; source: iso3166.tab of the package tzdata."""
    lines = (files(tzdata) / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {code: name for code, name in rows if code in zones.COUNTRIES}
