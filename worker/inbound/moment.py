"""Moment: reads the gateway's timestamps, in any of its formats, as Unix time in ms."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

CENTRAL = timezone(timedelta(hours=2))  # source: the HTTP API guide, "in the GMT+2 timezone"
_UNIX = re.compile(r"([0-9]{1,16})(?:\.[0-9]{1,9})?")
_SECONDS, _MILLISECONDS = 10**11, 10**14  # the year 5138; below it a number is seconds, then it is ms
_ZONE = re.compile(r" (?=[+-][0-9]{2}:?[0-9]{2}$)")


def milliseconds(raw: str, zone: timezone) -> int:
    """Return a Unix time in s or ms, or a date (in ``zone`` unless it has its own), as Unix time in ms; 0: unknown."""
    raw = raw.strip()
    if not raw.isascii() or len(raw) > 40:
        return 0
    unix = _UNIX.fullmatch(raw)
    if unix:
        number = int(unix[1])
        return number * 1000 if number < _SECONDS else number if number < _MILLISECONDS else 0
    try:
        at = datetime.fromisoformat(_ZONE.sub("", raw))
        at = at if at.tzinfo else at.replace(tzinfo=zone)
        return max(0, round(at.timestamp() * 1000))
    except (ValueError, OverflowError):
        return 0
