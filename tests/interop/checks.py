"""Checks: what a client reported of a step, against what the sandbox's ledger has; None means that both agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from threelane.sandbox.running import Running

TO, OTHER, OPTED_OUT = "27820000001", "27820000002", "27999112200"
TEXT, UNICODE, PLAIN = "Your code is 4711", "Привет, 世界 \U0001f600", "Fish & chips, Привет"
TEMPLATE, NAMES = "Hi #field1#", ("Ann", "Bob")
DELAY_SECONDS = 3600
_CLOSE_SECONDS = 90
_REFUSAL = ("122", "opted out")

Report = Any  # of a send: {"ids": [...]} or {"ok": bool} and perhaps {"errors": [...]}; of the others as named below
Messages = list[dict[str, Any]]


def plan() -> dict[str, str]:
    """Return the variables that give a driver its task."""
    due_at = int(time.time()) + DELAY_SECONDS
    return {
        "TO": TO,
        "OTHER": OTHER,
        "OPTED_OUT": OPTED_OUT,
        "TEXT": TEXT,
        "UNICODE_TEXT": UNICODE,
        "UNICODE_HEX": UNICODE.encode("utf-16-be").hex(),
        "PLAIN_TEXT": PLAIN,
        "TEMPLATE": TEMPLATE,
        "NAMES": ",".join(NAMES),
        "DUE_AT": str(due_at),
        "DUE_AT_GMT": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due_at)),
        "DUE_AT_OFFSET": time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(due_at)),
        "DELAY_MINUTES": str(DELAY_SECONDS // 60),
    }


def difference(step: str, report: Report, sandbox: Running, since: float) -> str | None:
    """Return how a step differs from what its caller meant."""
    messages: Messages = sandbox.control("GET", "ledger")["messages"]
    if "error" in report:
        return f"the client fails: {report['error']}"
    return _CHECKS[step](report, messages, sandbox, since)


def _sent(expected: list[tuple[str, str]], report: Report, messages: Messages) -> str | None:
    """Compare recipients, texts and, where the client returns ids, ids."""
    received = [(message["to"], message["text"]) for message in messages]
    if received != expected:
        return f"the gateway accepted {received}"
    ids = [message["id"] for message in messages]
    if report.get("ids", ids) != ids:
        return f"the client reports the ids {report['ids']}"
    return None if report.get("ok", True) else "the client reports a failure"


def _one(report: Report, messages: Messages, _sandbox: Running, _since: float) -> str | None:
    return _sent([(TO, TEXT)], report, messages)


def _many(report: Report, messages: Messages, _sandbox: Running, _since: float) -> str | None:
    return _sent([(TO, TEXT), (OTHER, TEXT)], report, messages)


def _unicode(report: Report, messages: Messages, _sandbox: Running, _since: float) -> str | None:
    return _sent([(TO, UNICODE)], report, messages)


def _plain(report: Report, messages: Messages, _sandbox: Running, _since: float) -> str | None:
    return _sent([(TO, PLAIN)], report, messages)


def _scheduled(report: Report, messages: Messages, _sandbox: Running, since: float) -> str | None:
    if wrong := _sent([(TO, TEXT)], report, messages):
        return wrong
    [message] = messages
    if message["status"] != "011" or message["scheduled_at"] is None:
        return f"the message has status {message['status']}"
    late = message["scheduled_at"] - since - DELAY_SECONDS
    return None if abs(late) < _CLOSE_SECONDS else f"it is scheduled {late:.0f} seconds late"


def _refused(report: Report, messages: Messages, _sandbox: Running, _since: float) -> str | None:
    if messages:
        return "the gateway accepted it"
    reported = " ".join(map(str, report.get("errors", [])))
    return None if any(word in reported for word in _REFUSAL) else f"the client reports {report}"


def _query(report: Report, _messages: Messages, _sandbox: Running, _since: float) -> str | None:
    return None if report.get("status") == "004" else f"the client reports {report}"


def _balance(report: Report, _messages: Messages, sandbox: Running, _since: float) -> str | None:
    expected = float(sandbox.control("GET", "account")["balance"])
    return None if report.get("balance") == expected else f"the client reports {report}, the account has {expected}"


def _batch(report: Report, messages: Messages, _sandbox: Running, _since: float) -> str | None:
    texts = [TEMPLATE.replace("#field1#", name) for name in NAMES]
    return _sent([(TO, texts[0]), (OTHER, texts[1])], report, messages)


_CHECKS: dict[str, Callable[[Report, Messages, Running, float], str | None]] = {
    "one": _one,
    "many": _many,
    "unicode": _unicode,
    "plain": _plain,
    "scheduled": _scheduled,
    "refused": _refused,
    "query": _query,
    "balance": _balance,
    "batch": _batch,
}
