"""Duration: a length of time as people write it, such as 90s, 1h30m or 2 days."""

from __future__ import annotations

import re

MINUTE_SECONDS = 60
HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
MOST_LETTERS = 80
MOST_SECONDS = 100 * 366 * DAY_SECONDS
_SPELLINGS = {
    1: ("s", "sec", "secs", "second", "seconds"),
    MINUTE_SECONDS: ("m", "min", "mins", "minute", "minutes"),
    HOUR_SECONDS: ("h", "hr", "hrs", "hour", "hours"),
    DAY_SECONDS: ("d", "day", "days"),
    7 * DAY_SECONDS: ("w", "week", "weeks"),
}
_UNITS = {spelling: seconds for seconds, spellings in _SPELLINGS.items() for spelling in spellings}
_NAMES = {1: "seconds", MINUTE_SECONDS: "minutes", HOUR_SECONDS: "hours", DAY_SECONDS: "days"}
_SHORT = ((DAY_SECONDS, "d"), (HOUR_SECONDS, "h"), (MINUTE_SECONDS, "min"), (1, "s"))
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_PART = re.compile(rf"({_NUMBER})\s*([a-z]+)(?:\s+and\s+|[\s,]*)")
_ALL = re.compile(rf"(?:{_PART.pattern})+")


def parse(raw: str, unit_seconds: int = 1) -> float:
    """Return a duration in seconds; a number alone is in the given unit.  Raises ValueError with the right form."""
    text = raw.strip().lower() if len(raw) <= MOST_LETTERS else ""
    if re.fullmatch(_NUMBER, text):
        return _bounded(raw, float(text) * unit_seconds)
    if text.startswith("-"):
        raise ValueError(f"{raw[:40]!r} is negative; give 0 or more")
    parts: list[tuple[float, int]] = [(float(number), _UNITS.get(unit, 0)) for number, unit in _PART.findall(text)]
    units = [unit for _, unit in parts]
    if not _ALL.fullmatch(text) or 0 in units or len(set(units)) < len(units):
        raise ValueError(
            f"{raw[:40]!r} is not a duration; write 90s, 30m, 1h30m or 2 days, or a number of {_NAMES[unit_seconds]}"
        )
    return _bounded(raw, sum(number * unit for number, unit in parts))


def written(seconds: float) -> str:
    """Return a duration as people write it, in its two largest units: 1 h 30 min; below a minute with decimals."""
    if seconds < MINUTE_SECONDS:
        return f"{seconds:.3g} s"
    left = round(seconds)
    parts: list[str] = []
    for size, name in _SHORT:
        number, left = divmod(left, size)
        if number or parts:
            parts.append(f"{number} {name}" if number else "")
    return " ".join(filter(None, parts[:2]))


def _bounded(raw: str, seconds: float) -> float:
    if seconds > MOST_SECONDS:
        raise ValueError(f"{raw[:40]!r} is longer than 100 years")
    return seconds
