"""Numbers of a file: how digits without + or 00 are read must be given, or the whole file is refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import phonenumbers

from threelane.contract import phone, spreadsheet
from threelane.contract.prices import country
from threelane.contract.reading import E164, INTERNATIONAL, Form, Reading
from threelane.contract.refusal import Code, Refusal
from threelane.producer.files.bulk import FileRow, InvalidFile

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


class NumberRules(NamedTuple):
    """How the bare numbers of a file are read: as ``given``, unless a row has a country; None: nothing is given.

    With ``is_final`` the countries of rows do not count, since the command line gave another form than national.
    """

    given: Reading | None = None
    is_final: bool = False


def option(numbers: str, country_code: str, installation_country: str = "") -> Reading | None:
    """Return the reading of ``--numbers`` and ``--country``, None without both; raises ValueError with the fix."""
    form, _, named = numbers.strip().partition(":")
    form, place = form.strip().lower(), named or country_code or installation_country
    if form not in ("", *Form):
        raise ValueError(f"--numbers {numbers!r}: write international, national or e164")
    if country_code and (named or form not in ("", Form.NATIONAL)):
        raise ValueError("--country is for national numbers: leave it out, or --numbers")
    if form == Form.NATIONAL and not place:
        raise ValueError("--numbers national needs a country, as in --country ZA")
    if form == Form.NATIONAL or country_code:
        return _national(place, "--country")
    if named:
        raise ValueError(f"--numbers {numbers!r}: only national numbers have a country")
    return {"": None, Form.INTERNATIONAL: INTERNATIONAL, Form.E164: E164}[form]


def is_bare(raw: object) -> bool:
    """Return whether a cell holds a number without + or 00, in whatever way a spreadsheet has changed it."""
    restored = _restored(raw)
    return isinstance(restored, str) and bool(digits := _significant(restored)) and not digits.startswith(("+", "00"))


def require_reading(rows: Iterable[FileRow], rules: NumberRules, installation_country: str) -> None:
    """Raise BareNumbers if a row has a bare number and neither the rules nor a column give its reading."""
    if rules.given is not None:
        return
    samples: list[BothReadings] = []
    for row in rows:
        if not isinstance(row.content, Refusal) and "country" not in row.content and is_bare(row.content.get("to")):
            samples.append(both_readings(row.number, row.content["to"], installation_country))
            if len(samples) == SAMPLES:
                break
    if samples:
        raise BareNumbers(samples)


def both_readings(row: int, raw: object, country_code: str) -> BothReadings:
    """Return where a bare number would lead; without a country of the installation the second reading is open."""
    national = _where(raw, Reading(Form.NATIONAL, country_code)) if country_code else "give --country"
    return BothReadings(row, str(raw)[:24], _where(raw, INTERNATIONAL), national)


def read_rows(rows: Iterable[FileRow], rules: NumberRules, keep: Iterable[str] = ()) -> Iterator[FileRow]:
    """Write each number as + and digits, and remove the column country unless a text needs it (``keep``)."""
    dropped = {"country"} - set(keep)
    for row in rows:
        if isinstance(row.content, Refusal) or "to" not in row.content:
            yield row
            continue
        number = read(row.content["to"], str(row.content.get("country") or "").strip(), rules)
        content = {name: value for name, value in row.content.items() if name not in dropped}
        yield row._replace(content=number if isinstance(number, Refusal) else {**content, "to": "+" + number})


def read(raw: Any, country_code: str, rules: NumberRules, field: str = "to") -> str | Refusal:
    """Return a number as the country of its row or the rules read it."""
    reading = rules.given
    if country_code and not rules.is_final:
        try:
            reading = _national(country_code, "country")
        except ValueError as unknown:
            return Refusal(Code.DESTINATION, "country", str(unknown), "write two letters, as in ZA")
    if reading is None:
        if is_bare(raw):
            problem = "the number has no + or 00, and its row no country"
            return Refusal(Code.DESTINATION, "country", problem, _REMEDY)
        reading = INTERNATIONAL
    return phone.parse(raw, field, reading)


def _national(country_code: str, field: str) -> Reading:
    code = country_code.strip().upper()
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{field} {country_code[:20]!r} is not a country: write two letters, as in ZA")
    return Reading(Form.NATIONAL, code)


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
