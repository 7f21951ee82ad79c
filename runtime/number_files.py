"""Number files: an operator's corrections of the numbering plans, and the countries without sender names."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from threelane.contract import countries, reading
from threelane.contract.numbering import LEAST_DIGITS, MOST_DIGITS

_RANGES_FORM = (
    'write a table [ranges] with lines such as "22901" = [13]: first digits with the country code, and lengths'
)
_SENDERS_FORM = 'write numeric_only = ["US", "CA"]'


def ranges(path: Path) -> dict[str, list[int]]:
    """Return the lengths of the numbers that are accepted, by their first digits; raises ValueError."""
    found = _only(path, "ranges", _RANGES_FORM)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: ranges is not a table; {_RANGES_FORM}")
    for prefix, lengths in found.items():
        if not (prefix.isascii() and prefix.isdigit() and prefix[0] != "0" and len(prefix) <= MOST_DIGITS):
            raise ValueError(f"{path}: {prefix[:40]!r} is not the beginning of an international number; {_RANGES_FORM}")
        if not (isinstance(lengths, list) and lengths and all(_is_length(one) for one in lengths)):
            raise ValueError(
                f"{path}: {prefix} needs lengths from {LEAST_DIGITS} to {MOST_DIGITS} digits; {_RANGES_FORM}"
            )
    return found


def numeric_countries(path: Path) -> frozenset[str]:
    """Return the countries whose networks take no sender names; raises ValueError."""
    found = _only(path, "numeric_only", _SENDERS_FORM)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{path}: numeric_only is not a list of countries; {_SENDERS_FORM}")
    try:
        return frozenset(countries.distinct(reading.national_of(one).country) for one in found)
    except ValueError as wrong:
        raise ValueError(f"{path}: {wrong}") from None


def _is_length(one: object) -> bool:
    return isinstance(one, int) and not isinstance(one, bool) and LEAST_DIGITS <= one <= MOST_DIGITS


def _only(path: Path, name: str, form: str) -> Any:
    """Return the one value of a TOML file, which has no other."""
    try:
        found = tomllib.loads(path.read_text())
    except OSError as failed:
        raise ValueError(f"{path} cannot be read ({failed.strerror}): mount it, or correct the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ValueError(f"{path} is not TOML ({wrong}); {form}") from None
    if set(found) != {name}:
        others = ", ".join(sorted(set(found) - {name})) or "nothing"
        raise ValueError(f"{path} has {others} instead of {name}; {form}")
    return found[name]
