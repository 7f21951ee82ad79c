"""Reading: how a number without + or 00 is read, which is a setting and never a guess."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import phonenumbers


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


def parse_reading(text: str) -> Reading:
    """Return the reading that a setting names; raises ValueError with the right forms."""
    form, _, country = text.strip().partition(":")
    form, country = form.strip().lower(), country.strip().upper()
    if form == Form.NATIONAL:
        if country not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"{text!r}: {country or 'nothing'} is not a country; write two letters, as in national:ZA")
        return Reading(Form.NATIONAL, country)
    if form not in set(Form) or country:
        raise ValueError(f"{text!r} is not a way to read numbers; write {FORMS}")
    return _WITHOUT_COUNTRY[Form(form)]
