"""Foreign: the outcome of a response whose body the API did not write: only its HTTP status counts."""

from __future__ import annotations

from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.gateway.wire import HttpReply

TOO_MANY_REQUESTS = 429
_REDIRECTS = range(300, 400)
_NOT_SERVED = (401, 403, 404, 405)  # a server that returns one of these has not passed the request on
_SHOWN_OCTETS, _SHOWN_CHARACTERS = 1000, 80


def outcome(reply: HttpReply) -> AttemptOutcome:
    """Return the outcome: a rate limit, the page of a server that is not the API, or unreadable."""
    text, wait = beginning(reply), reply.retry_after_seconds
    if reply.status == TOO_MANY_REQUESTS:
        return AttemptOutcome(OutcomeKind.REFUSED, code=str(TOO_MANY_REQUESTS), text=text, retry_after_seconds=wait)
    if is_of_another_server(reply.status):
        return AttemptOutcome(OutcomeKind.WRONG_ADDRESS, text=text)
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=text, retry_after_seconds=wait)


def unreadable(reply: HttpReply) -> AttemptOutcome:
    """Return the outcome of a response that the API may have written, but that is no clear result."""
    return AttemptOutcome(OutcomeKind.UNREADABLE, text=beginning(reply), retry_after_seconds=reply.retry_after_seconds)


def is_of_another_server(status: int) -> bool:
    """Return whether an error with this HTTP status and none of the API's codes comes from another server."""
    return status in _REDIRECTS or status in _NOT_SERVED


def beginning(reply: HttpReply) -> str:
    """Return the HTTP status and the beginning of the body, on one line."""
    text = " ".join(reply.body[:_SHOWN_OCTETS].decode("utf-8", errors="replace").split())[:_SHOWN_CHARACTERS]
    return f"HTTP {reply.status} {text}".strip()
