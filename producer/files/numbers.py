"""Numbers of a file: how digits without + or 00 are read must be given, or the whole file is refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from threelane.contract import fields, phone, spreadsheet
from threelane.contract.prices import country
from threelane.contract.reading import INTERNATIONAL, Form, Reading, national_of, parse_reading
from threelane.contract.refusal import Code, Refusal
from threelane.producer.files.bulk import COUNTRY, FileRow, InvalidFile

SAMPLES = 5  # rows that a refusal of a whole file shows
_REMEDY = "give it, or write the number with + and its country code"
_NO_DIGIT = re.compile(r"[^0-9+]+")


class BothReadings(NamedTuple):
    """A bare number of a file, and where it would lead as an international and as a national number."""

    row: int
    number: str
    international: str
    national: str


class BareNumbers(InvalidFile):
    """The file has numbers without + or 00, and nothing gives their reading; ``samples`` are the first of them."""

    def __init__(self, samples: list[BothReadings]) -> None:
        """Describe what is missing and how it is given."""
        super().__init__(
            "its numbers have no + or 00, so they can be read in two ways. Give --country, as in --country ZA, for "
            "national numbers; --numbers international if each has its country code; or a column country"
        )
        self.samples = samples


def _no_setting(_: str) -> Reading | None:
    return None


class NumberRules(NamedTuple):
    """How the bare numbers of a file are read: by the command line, the row's country, its producer's setting or ours.

    ``producers`` returns the setting of a producer, ``producer`` is that of rows without one, and ``installation`` the
    reading of THREELANE_NUMBERS if it is set: its default is no reading for files.
    """

    option: Reading | None = None
    installation: Reading | None = None
    producers: Callable[[str], Reading | None] = _no_setting
    producer: str = ""

    @property
    def ignores_countries(self) -> bool:
        """Whether the countries of rows do not count: the command line says that the numbers are not national."""
        return self.option is not None and self.option.form is not Form.NATIONAL

    def reading(self, producer: object) -> Reading | None:
        """Return the reading of a row without a country, None if nothing gives it."""
        name = producer.strip() if isinstance(producer, str) else ""
        return self.option or self.producers(name or self.producer) or self.installation


def option(numbers: str, country_code: str, installation_country: str = "") -> Reading | None:
    """Return the reading of ``--numbers`` and ``--country``, None without both; raises ValueError with the fix."""
    if country_code and numbers.strip().lower() not in ("", Form.NATIONAL):
        raise ValueError("--country is for national numbers: leave it out, or --numbers")
    try:
        if country_code:
            return national_of(country_code)
        return parse_reading(numbers, installation_country) if numbers else None
    except ValueError as wrong:
        raise ValueError(f"{'--country' if country_code else '--numbers'} {wrong}") from None


def is_bare(raw: object) -> bool:
    """Return whether a cell holds a number without + or 00, in whatever way a spreadsheet has changed it."""
    restored = _restored(raw)
    return isinstance(restored, str) and bool(digits := _significant(restored)) and not digits.startswith(("+", "00"))


def require_reading(rows: Iterable[FileRow], rules: NumberRules, installation_country: str) -> None:
    """Raise BareNumbers if a row has a bare number and neither the rules nor a column give its reading."""
    bare = (
        both_readings(row.number, row.content["to"], installation_country)
        for row in rows
        if not isinstance(row.content, Refusal) and _lacks_reading(row.content, rules)
    )
    if samples := list(islice(bare, SAMPLES)):
        raise BareNumbers(samples)


def _lacks_reading(content: Mapping[str, Any], rules: NumberRules) -> bool:
    return COUNTRY not in content and rules.reading(content.get("producer")) is None and is_bare(content.get("to"))


def both_readings(row: int, raw: object, country_code: str) -> BothReadings:
    """Return where a bare number would lead; without a country of the installation the second reading is open."""
    national = _where(raw, Reading(Form.NATIONAL, country_code)) if country_code else "give --country"
    return BothReadings(row, str(raw)[:24], _where(raw, INTERNATIONAL), national)


def read_rows(rows: Iterable[FileRow], rules: NumberRules, keep: Iterable[str] = ()) -> Iterator[FileRow]:
    """Write each number as + and digits, and remove the column country unless a text needs it (``keep``)."""
    dropped = {COUNTRY} - set(keep)
    for row in rows:
        if isinstance(row.content, Refusal) or "to" not in row.content:
            yield row
            continue
        number = read(row.content["to"], row.content.get(COUNTRY), rules, producer=row.content.get("producer"))
        content = {name: value for name, value in row.content.items() if name not in dropped}
        yield row._replace(content=number if isinstance(number, Refusal) else {**content, "to": "+" + number})


def read(raw: Any, country_code: object, rules: NumberRules, field: str = "to", producer: object = "") -> str | Refusal:
    """Return a number as the country of its row or the rules read it."""
    reading = rules.reading(producer)
    if not rules.ignores_countries:
        own = fields.country("" if country_code is None else country_code, COUNTRY)
        if isinstance(own, Refusal) and is_bare(raw):
            return own
        own = None if isinstance(own, Refusal) else own  # an international number needs none
        reading = own or reading
    if reading is None and is_bare(raw):
        return Refusal(Code.DESTINATION, COUNTRY, "the number has no + or 00, and its row no country", _REMEDY)
    return phone.parse(raw, field, reading or INTERNATIONAL)


def _where(raw: object, reading: Reading) -> str:
    number = phone.parse(raw, "to", reading)
    return f"none: {number.problem}" if isinstance(number, Refusal) else f"{country(number)} +{number}"


def _restored(raw: object) -> object:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return "1"  # whatever its digits are
    return spreadsheet.restore(raw) if isinstance(raw, str) else None


def _significant(text: str) -> str:
    """Return the plus and the digits of a text, in ASCII; empty if it has letters."""
    if any(letter.isalpha() for letter in text):
        return ""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    digits = "".join(str(unicodedata.digit(letter, letter)) for letter in plain)
    return _NO_DIGIT.sub("", digits)
