"""Quantity: a number of seconds or credits, as JSON, a file or a person writes it."""

from __future__ import annotations

import re
from decimal import Decimal

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def number(raw: object) -> float | None:
    """Return a number; None for anything else, also for what only Python reads as one, such as 1_0 or b"1"."""
    if isinstance(raw, str):
        return float(raw) if _DECIMAL.fullmatch(raw := raw.strip()) else None
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
        return None
    try:
        value = float(raw)
    except (OverflowError, ValueError):  # ValueError: a signalling NaN
        return None
    return value if value == value else None
