"""Entries: reads the message entries and error objects in JSON responses of Central REST and of the Portal's APIs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import msgspec

from threelane.worker.gateway import foreign
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.wire import HttpReply
from threelane.worker.policy.rule import Table
from threelane.worker.policy.statuses import millionths

# The guides print ids as 32 hexadecimal digits; the hyphens of a UUID would not make one ambiguous.
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_CODE = re.compile(r"[0-9]{1,4}", re.ASCII)
NO_CODE = "none"


class Family(NamedTuple):
    """How an API family writes its codes, and the codes that HTTP statuses give to errors without a listed one."""

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


def refused(failed: EntryError, reply: HttpReply, family: Family) -> AttemptOutcome:
    """Return the outcome that an error of a whole response means.

    Outside 2xx and 4xx, and in a status that another server may have written, only a listed code counts as
    Clickatell's.  The HTTP status replaces a code that the table does not list.
    """
    is_listed, status = failed.code in family.table.rules, reply.status
    if not is_listed and (status == foreign.TOO_MANY_REQUESTS or foreign.is_of_another_server(status)):
        return foreign.outcome(reply)
    return refused_entry(failed, reply, family)


def refused_entry(failed: EntryError, reply: HttpReply, family: Family) -> AttemptOutcome:
    """Return the outcome that the error of one message's entry means: the entry itself shows that it is the API's."""
    code, status, wait = failed.code, reply.status, reply.retry_after_seconds
    if not (is_yes(status) or 400 <= status < 500) and code not in family.table.rules:
        text = f"HTTP {status} {failed.text}".strip()
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=text, retry_after_seconds=wait)
    if family.table.rule_for(code) is family.table.otherwise:
        code = family.by_status.get(status, code)
    return AttemptOutcome(OutcomeKind.REFUSED, code=code, text=failed.text, retry_after_seconds=wait)


def read_entry(
    entry: Mapping[str, Any], to: str, reply: HttpReply, family: Family, message_id: str = ""
) -> AttemptOutcome:
    """Read one message's entry: accepted with an id, refused with an error; anything else is unreadable."""
    gateway_id, failed, named = entry.get("apiMessageId"), entry_error(entry, family), recipient(entry)
    accepted, status = entry.get("accepted"), reply.status
    if named and named != to:
        return AttemptOutcome(OutcomeKind.UNREADABLE, text="the response names another recipient")
    if names_another(entry, "clientMessageId", message_id):
        return AttemptOutcome(OutcomeKind.UNREADABLE, text="the response names another message")
    if accepted is True and is_id(gateway_id) and not failed and is_yes(status):
        return AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=gateway_id)
    if gateway_id or (accepted is not False and accepted is not None):
        return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {status} neither accepted nor refused")
    if failed:
        return refused_entry(failed, reply, family)
    if accepted is False and 200 <= status < 500:
        return AttemptOutcome(OutcomeKind.REFUSED, code=NO_CODE)
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=f"HTTP {status} neither accepted nor refused")


def names_another(holder: Mapping[str, Any], name: str, expected: str) -> bool:
    """Return whether a response names something else than the request did; naming nothing is not another."""
    return bool(expected) and holder.get(name) not in (None, "", expected)


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


def read_balance(holder: Mapping[str, Any], name: str, reply: HttpReply, family: Family) -> float | str:
    """Return the balance under a name of a response, or why it is unknown."""
    failed, left = entry_error(holder, family), balance(holder.get(name))
    if left is not None and not failed and is_yes(reply.status):
        return left
    return f"{failed.code} {failed.text}".strip() if failed else foreign.beginning(reply)


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
