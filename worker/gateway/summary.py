"""Summary: why the gateway was not reached or did not answer, in one sentence for the operator."""

from __future__ import annotations

import re

from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

_STATUS = re.compile(r"\bHTTP \d{3}\b|^[A-Za-z]{1,40}$")
_NOT_IN_TIME = "there was no answer in time"
_CLOSED = "the connection was closed before an answer came"
_KINDS = {
    OutcomeKind.NOT_REACHED: "not reached",
    OutcomeKind.LOST: "no answer",
    OutcomeKind.UNREADABLE: "the answer is unreadable",
    OutcomeKind.WRONG_ADDRESS: "another server answered",
}
_CAUSES = {
    "ClientConnectorDNSError": "the name of its host cannot be resolved",
    "ClientConnectorCertificateError": "its certificate is not trusted",
    "ClientConnectorSSLError": "TLS fails; check whether the address is one of https",
    "ClientConnectorError": "the connection is refused, or no route leads there; check address, network and firewall",
    "ClientProxyConnectionError": "the proxy cannot be reached",
    "ConnectionTimeoutError": "there was no connection in time; check network and firewall",
    "ServerTimeoutError": _NOT_IN_TIME,
    "SocketTimeoutError": _NOT_IN_TIME,
    "TimeoutError": _NOT_IN_TIME,
    "ServerDisconnectedError": _CLOSED,
    "ClientOSError": _CLOSED,
    "ConnectionResetError": _CLOSED,
    "ClientPayloadError": "the answer was cut",
}
"""The name of an exception -> its usual cause, of the exceptions that the wire meets."""


def summary(outcome: AttemptOutcome) -> str:
    """Return what kept an outcome from being an answer, such as "not reached: ... (ClientConnectorError)".

    Other text than the name of an exception is left as it is: a code, or the beginning of a page.
    """
    if outcome.kind not in _KINDS:
        return outcome.in_words()
    cause = _CAUSES.get(outcome.text)
    text = f"{cause} ({outcome.text})" if cause else outcome.text
    return f"{_KINDS[outcome.kind]}: {text}" if text else _KINDS[outcome.kind]


def short(outcome: AttemptOutcome) -> str:
    """Return the error of an outcome that is no answer, for the log of each attempt; "" for answers."""
    return evidence(outcome.text) if outcome.kind in _KINDS else ""


def evidence(text: str) -> str:
    """Return the HTTP status or the kind of error in an outcome's text; the rest may echo a request."""
    found = _STATUS.search(text)
    return found[0] if found else ""
