"""Values: how commands write times, ages, amounts and phone numbers for people, and read durations."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo

import typer

from threelane.contract import duration, phone
from threelane.contract.duration import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS
from threelane.contract.prices import CREDIT

_ZONE: ContextVar[tzinfo | None] = ContextVar("zone", default=None)  # None: the reader's own, of TZ or the system


def use_utc(utc: bool) -> None:
    """Write all times of this run in UTC, or in the reader's zone."""
    _ZONE.set(UTC if utc else None)


def shown_at(at: int) -> str:
    """Return a time (ms of Unix time) in the reader's zone with its offset: ``2031-06-30 16:00:00+02:00``."""
    return _shown(at, "seconds")


def shown_exactly(at: int) -> str:
    """Return a time as ``shown_at`` does, with milliseconds: a login code takes less than a second in total."""
    return _shown(at, "milliseconds")


def age(at: int, now: int) -> str:
    """Return how long ago a time was, or until it comes (both ms): ``3 min ago``, ``in 2 h``."""
    seconds = (now - at) / 1000
    words = _roughly(abs(seconds))
    return f"in {words}" if seconds < 0 else f"{words} ago"


def credits(millionths: float) -> str:
    """Return an amount in credits, not rounded, with at least two decimals: ``1,200.00``, ``0.125``."""
    whole, _, decimals = f"{millionths / CREDIT:,.6f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def masked(number: str) -> str:
    """Return a phone number with its last digits hidden; lists and logs show it in no other form."""
    return phone.mask(number)


def duration_in(unit_seconds: int, least: float = 0, most: float = math.inf) -> Callable[[str], float]:
    """Return the parser of an option that takes a duration, such as 90s or 2h; its value is in the option's unit.

    A number alone is in that unit, too, as are ``least`` and ``most``.
    """

    def parse(raw: str | float) -> float:
        if isinstance(raw, int | float):  # the default
            return raw
        try:
            value = duration.parse(raw, unit_seconds) / unit_seconds
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong)) from None
        if not least <= value <= most:
            limit = f"at least {_of(least, unit_seconds)}" if value < least else f"at most {_of(most, unit_seconds)}"
            raise typer.BadParameter(f"{raw!r} is out of range; give {limit}")
        return value

    return parse


def _of(value: float, unit_seconds: int) -> str:
    return duration.written(value * unit_seconds)


def _shown(at: int, precision: str) -> str:
    try:
        moment = datetime.fromtimestamp(at / 1000, UTC).astimezone(_ZONE.get())
    except (OverflowError, ValueError, OSError):  # of a damaged row: no calendar has it
        return f"{at} ms"
    return moment.isoformat(" ", precision).replace("+00:00", "Z")


def _roughly(seconds: float) -> str:
    """Return a duration in its largest unit, as people say it."""
    if seconds < MINUTE_SECONDS:
        return f"{int(seconds)} s"
    if seconds < HOUR_SECONDS:
        return f"{int(seconds / MINUTE_SECONDS)} min"
    if seconds < 2 * DAY_SECONDS:
        return f"{int(seconds / HOUR_SECONDS)} h"
    return f"{int(seconds / DAY_SECONDS)} days"
