"""Reading: how a number without + or 00 is read, which is a setting and never a guess."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from threelane.contract.countries import parse_country


class Form(StrEnum):
    """What digits without + or 00 are."""

    INTERNATIONAL = "international"
    NATIONAL = "national"
    E164 = "e164"


class Reading(NamedTuple):
    """How bare digits are read; ``country`` is an ISO 3166 code, for national numbers only."""

    form: Form = Form.INTERNATIONAL
    country: str = ""

    def __str__(self) -> str:
        """Return it as it is written in settings, as in ``national:ZA``."""
        return f"{self.form}:{self.country}" if self.country else str(self.form)


INTERNATIONAL = Reading()
E164 = Reading(Form.E164)
_WITHOUT_COUNTRY = {Form.INTERNATIONAL: INTERNATIONAL, Form.E164: E164}  # one value each, to compare by identity
FORMS = "international, national:COUNTRY (as in national:ZA) or e164"


def national_of(country: str) -> Reading:
    """Return the national reading of a country; raises ValueError with the right form."""
    return Reading(Form.NATIONAL, parse_country(country))


def parse_reading(text: str, default_country: str = "") -> Reading:
    """Return the reading that a setting names; raises ValueError with the right forms.

    ``default_country`` is the country of the word ``national`` alone.
    """
    form, has_country, country = text.strip().partition(":")
    form, country = form.strip().lower(), country.strip()
    if form == Form.NATIONAL:
        if not has_country and not default_country:
            raise ValueError(f"{text!r} needs a country: write national:ZA, or set THREELANE_COUNTRY=ZA")
        return national_of(country if has_country else default_country)
    if form not in set(Form) or country:
        raise ValueError(f"{text!r} is not a way to read numbers; write {FORMS}")
    return _WITHOUT_COUNTRY[Form(form)]


@lru_cache(maxsize=1024)
def stored(text: str) -> Reading | None:
    """Return a stored reading, None for an empty one; one of a later version requires a + rather than a guess."""
    try:
        return parse_reading(text) if text else None
    except ValueError:
        return E164
