"""Entries: reads the message entries and error objects in JSON responses of Central REST and the One API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import msgspec

from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.policy.rule import Table
from threelane.worker.policy.statuses import millionths

_ID = re.compile(r"[0-9A-Za-z._:-]{8,64}")
_CODE = re.compile(r"[0-9]{1,4}", re.ASCII)
NO_CODE = "none"


class Family(NamedTuple):
    """How an API family writes its codes, and the codes of HTTP statuses without an error object."""

    table: Table
    digits: int
    by_status: Mapping[int, str]


class EntryError(NamedTuple):
    """An error object: its code as the family writes it, or NO_CODE, and its text."""

    code: str
    text: str


def decode(body: bytes) -> dict[str, Any] | None:
    """Return a response body as a JSON object, or None if it is not one."""
    try:
        answer = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors; deep nesting is not
        return None
    return answer if isinstance(answer, dict) else None


def entry_error(holder: Mapping[str, Any], family: Family) -> EntryError | None:
    """Return the error of a response or an entry: an object, or a text beside ``errorCode``."""
    error, code = holder.get("error"), holder.get("errorCode")
    text = holder.get("errorDescription") or error
    if isinstance(error, dict):
        code, text = error.get("code"), error.get("description")
    if not error and code is None:
        return None
    return EntryError(_code(code, family.digits), clean(text))


def is_yes(status: int) -> bool:
    """Return whether an HTTP status may carry an acceptance."""
    return 200 <= status < 300


def refused(failed: EntryError, status: int, family: Family) -> AttemptOutcome:
    """Return the outcome that an error object means.

    Outside 2xx and 4xx only a listed code counts as Clickatell's: anything else may come from a proxy.  The HTTP
    status replaces a code that the table does not list.
    """
    if not (is_yes(status) or 400 <= status < 500) and failed.code not in family.table.rules:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {status} {failed.text}".strip())
    code = failed.code
    if family.table.rule_for(code) is family.table.otherwise:
        code = family.by_status.get(status, code)
    return AttemptOutcome(OutcomeKind.REFUSED, code=code, text=failed.text)


def without_error(status: int, body: bytes, family: Family) -> AttemptOutcome:
    """Return the outcome of a response without entries or an error: its HTTP status can refuse, but not accept."""
    text = f"HTTP {status} {clean(body.decode('utf-8', errors='replace'))[:80]}".strip()
    if status in family.by_status:
        return AttemptOutcome(OutcomeKind.REFUSED, code=family.by_status[status], text=text)
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=text)


def read_entry(entry: Mapping[str, Any], to: str, status: int, family: Family) -> AttemptOutcome:
    """Read one message's entry: accepted with an id, refused with an error; anything else is unreadable."""
    gateway_id, failed, named = entry.get("apiMessageId"), entry_error(entry, family), recipient(entry)
    accepted = entry.get("accepted")
    if named and named != to:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text="the response names another recipient")
    if accepted is True and is_id(gateway_id) and not failed and is_yes(status):
        return AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=gateway_id)
    if gateway_id or (accepted is not False and accepted is not None):
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {status} neither accepted nor refused")
    if failed:
        return refused(failed, status, family)
    if accepted is False and 200 <= status < 500:
        return AttemptOutcome(OutcomeKind.REFUSED, code=NO_CODE)
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {status} neither accepted nor refused")


def recipient(entry: Mapping[str, Any]) -> str:
    """Return the number that an entry names, as digits; empty if it names none."""
    raw = entry.get("to")
    return str(raw).removeprefix("+") if isinstance(raw, str | int) and not isinstance(raw, bool) else ""


def is_id(raw: Any) -> TypeGuard[str]:
    """Return whether this is a valid gateway id."""
    return isinstance(raw, str) and _ID.fullmatch(raw) is not None


def amount(raw: Any) -> int | None:
    """Return a charge, from a number or a string, in millionths of a credit."""
    return millionths(str(raw)) if isinstance(raw, str | int | float) and not isinstance(raw, bool) else None


def balance(raw: Any) -> float | None:
    """Return a balance, from a number or a string."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    return float(raw) if re.fullmatch(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", str(raw)) else None


def clean(text: Any) -> str:
    """Return a description as one line of at most 200 characters; empty if it is not a string."""
    return " ".join(text[:1000].split())[:200] if isinstance(text, str) else ""


def _code(raw: Any, digits: int) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return NO_CODE
    if isinstance(raw, int) and not 0 <= raw <= 9999:  # converting a huge int to a string raises
        return NO_CODE
    text = str(raw).strip()
    return f"{int(text):0{digits}d}" if _CODE.fullmatch(text) else NO_CODE
