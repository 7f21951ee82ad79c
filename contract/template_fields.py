"""Template fields: the name of a stored template, and the values of its placeholders."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from threelane.contract.invisible import is_invisible
from threelane.contract.refusal import Refusal, invalid
from threelane.contract.text import composed

MOST_VALUES = 50
MOST_LETTERS = 1_000  # of a value; a text of three parts has at most 459
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,63}")
_VERSION = re.compile("[1-9][0-9]{0,8}")
_REFERENCE = re.compile(rf"({NAME.pattern})(?:@{_VERSION.pattern})?")
_OBJECT = 'give names and values, as in {"name": "Ana"}'


def parse_reference(raw: Any, field: str) -> str | Refusal:
    """Parse the name of a template, which ``@`` and a version may follow: ``order-shipped@2``."""
    name = raw.strip() if isinstance(raw, str) else ""
    if not _REFERENCE.fullmatch(name):
        return invalid(
            field,
            f"{ascii(raw)[:40]} is not the name of a template",
            "give a name, as in order-shipped or order-shipped@2",
        )
    return name


def is_version(text: str) -> bool:
    """Return whether a text is the number of a version."""
    return _VERSION.fullmatch(text) is not None


def split(reference: str) -> tuple[str, int]:
    """Return the name and the version of a parsed reference; version 0: the newest."""
    name, _, version = reference.partition("@")
    return name.rstrip(), int(version or 0)


def parse_values(raw: Any, field: str) -> dict[str, str] | Refusal:
    """Parse the values of placeholders, an object or its JSON; numbers become text, and empty values are refused."""
    given = _object(raw) if isinstance(raw, str) else raw
    if not isinstance(given, Mapping):
        return invalid(field, "not an object", _OBJECT)
    if len(given) > MOST_VALUES:
        return invalid(field, f"{len(given):,} values", f"give at most {MOST_VALUES}")
    parsed: dict[str, str] = {}
    for name, value in given.items():
        where = f"{field}.{str(name)[:40]}".encode("utf-8", "backslashreplace").decode()
        if not isinstance(name, str):
            return invalid(field, f"{ascii(name)[:40]} is not the name of a placeholder", _OBJECT)
        text = _text(value)
        if text is None:
            kind = "number without an end" if isinstance(value, float) else type(value).__name__
            return invalid(where, f"a {kind} cannot be part of a text", "give a string or a number")
        if is_invisible(text):
            return invalid(where, "the value shows nothing", "give a value, or use a template that does not need it")
        if len(text) > MOST_LETTERS:
            return invalid(where, f"{len(text):,} characters", f"give at most {MOST_LETTERS:,}")
        if name.strip() in parsed:
            return invalid(where, "the value is given twice", "give it once")
        parsed[name.strip()] = composed(text)
    return dict(sorted(parsed.items()))


def _object(raw: str) -> Any:
    try:
        return msgspec.json.decode(raw or "{}")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def _text(value: Any) -> str | None:
    """Return a value as text; None for what is neither a text nor a number."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        return str(value) if math.isfinite(value) else None
    except (ValueError, OverflowError):  # more digits than Python converts
        return None
