"""Entries: what the JSON answers of Central REST and of the One API share: an entry a message, and error objects."""

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
    """How an API family writes its codes, and which code an HTTP status without an error object amounts to."""

    table: Table
    digits: int
    by_status: Mapping[int, str]


class EntryError(NamedTuple):
    """An error object: its code as the family writes it, NO_CODE if it has none, and its text."""

    code: str
    text: str


def decode(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that an answer is, or None."""
    try:
        answer = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors; deep nesting is not
        return None
    return answer if isinstance(answer, dict) else None


def entry_error(holder: Mapping[str, Any], family: Family) -> EntryError | None:
    """Return the error of an answer or an entry: an object, or a text with ``errorCode`` beside it."""
    error, code = holder.get("error"), holder.get("errorCode")
    text = holder.get("errorDescription") or error
    if isinstance(error, dict):
        code, text = error.get("code"), error.get("description")
    if not error and code is None:
        return None
    return EntryError(_code(code, family.digits), clean(text))


def is_yes(status: int) -> bool:
    """Tell whether an HTTP status may carry an acceptance."""
    return 200 <= status < 300


def refused(failed: EntryError, status: int, family: Family) -> AttemptOutcome:
    """Return what an error object comes to.

    Outside of 2xx and 4xx only a listed code is Clickatell's: the rest may be said by whatever stands in between.
    A code that means nothing to us gives way to what the HTTP status says.
    """
    if not (is_yes(status) or 400 <= status < 500) and failed.code not in family.table.rules:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {status} {failed.text}".strip())
    code = failed.code
    if family.table.rule_for(code) is family.table.otherwise:
        code = family.by_status.get(status, code)
    return AttemptOutcome(OutcomeKind.REFUSED, code=code, text=failed.text)


def without_error(status: int, body: bytes, family: Family) -> AttemptOutcome:
    """Return what an answer comes to that has neither entries nor an error: its HTTP status may say no, never yes."""
    text = f"HTTP {status} {clean(body.decode('utf-8', errors='replace'))[:80]}".strip()
    if status in family.by_status:
        return AttemptOutcome(OutcomeKind.REFUSED, code=family.by_status[status], text=text)
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=text)


def read_entry(entry: Mapping[str, Any], to: str, status: int, family: Family) -> AttemptOutcome:
    """Read one message's entry: yes with an id, no with an error; everything else is unreadable."""
    gateway_id, failed, told = entry.get("apiMessageId"), entry_error(entry, family), recipient(entry)
    accepted = entry.get("accepted")
    if told and told != to:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text="the answer names another recipient")
    if accepted is True and is_id(gateway_id) and not failed and is_yes(status):
        return AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=gateway_id)
    if gateway_id or (accepted is not False and accepted is not None):
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {status} neither yes nor no")
    if failed:
        return refused(failed, status, family)
    if accepted is False and 200 <= status < 500:
        return AttemptOutcome(OutcomeKind.REFUSED, code=NO_CODE)
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {status} neither yes nor no")


def recipient(entry: Mapping[str, Any]) -> str:
    """Return the number that an entry names, as digits; empty when it names none."""
    told = entry.get("to")
    return str(told).removeprefix("+") if isinstance(told, str | int) and not isinstance(told, bool) else ""


def is_id(raw: Any) -> TypeGuard[str]:
    """Tell whether this is a gateway's id."""
    return isinstance(raw, str) and _ID.fullmatch(raw) is not None


def amount(raw: Any) -> int | None:
    """Return a charge, given as a number or as a text, in millionths of a credit."""
    return millionths(str(raw)) if isinstance(raw, str | int | float) and not isinstance(raw, bool) else None


def balance(raw: Any) -> float | None:
    """Return a balance, given as a number or as a text."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    return float(raw) if re.fullmatch(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", str(raw)) else None


def clean(text: Any) -> str:
    """Return a description on one line of at most 200 characters; what is no text is left out."""
    return " ".join(text[:1000].split())[:200] if isinstance(text, str) else ""


def _code(raw: Any, digits: int) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return NO_CODE
    if isinstance(raw, int) and not 0 <= raw <= 9999:  # also: turning a huge one into text raises
        return NO_CODE
    text = str(raw).strip()
    return f"{int(text):0{digits}d}" if _CODE.fullmatch(text) else NO_CODE
