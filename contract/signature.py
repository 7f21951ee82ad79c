"""Signature: proof for a receiver that a webhook comes from Threelane, is unchanged, and is fresh.

``Threelane-Signature-V2: v2=<hex>`` is the HMAC-SHA256 of ``v2.<Threelane-Timestamp>.<Threelane-Event>.<body>``, keyed
with the secret that was shown when the webhook was registered; while two secrets are valid it has one for each,
separated by commas.  ``Threelane-Signature: v1=<hex>`` is that of ``<Threelane-Timestamp>.<body>``, for receivers of
earlier versions: it does not cover the id of the event, by which receivers recognise repeats.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import Final

EVENT: Final = "Threelane-Event"
TIMESTAMP: Final = "Threelane-Timestamp"
SIGNATURE: Final = "Threelane-Signature"
SIGNATURE_V2: Final = "Threelane-Signature-V2"
_V1, _V2 = "v1=", "v2="
_SECONDS = re.compile(r"[0-9]{1,12}")
_EVENT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")  # no dot: it ends where the body begins
_MOST_LENGTH = 1_000  # characters of a header


def headers(secrets: Sequence[str], event: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a post; ``secrets`` are the valid ones, the newest first.

    The oldest one signs v1: a receiver of an earlier version compares the whole header, and holds that secret until its
    validity ends.
    """
    return {
        EVENT: event,
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(secrets[-1], timestamp, body),
        SIGNATURE_V2: ",".join(sign_event(secret, timestamp, event, body) for secret in secrets),
    }


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the v1 signature of a body at a time (Unix time, s); raises ValueError when the secret is empty."""
    return _V1 + _digest(secret, f"{timestamp}.", body)


def sign_event(secret: str, timestamp: int, event: str, body: bytes) -> str:
    """Return the v2 signature, which covers the id of the event as well; raises ValueError for an empty secret."""
    if not _EVENT_ID.fullmatch(event):
        raise ValueError("the id of an event is up to 64 letters, digits, - and _")
    return _V2 + _digest(secret, f"v2.{timestamp}.{event}.", body)  # v1 signs no text that begins with v2.


def verify(
    secret: str | Sequence[str],
    timestamp: str | int,
    body: bytes,
    signature: str,
    now: float,
    tolerance: float = 300,
    *,
    event: str | None = None,
) -> bool:
    """Return whether a webhook is genuine, in constant time; does not raise.

    ``secret`` may be several secrets, such as the one in use and the next one; one right signature is enough.
    ``timestamp`` and ``signature`` are the headers as received, ``body`` the bytes as received (not JSON that was
    decoded and encoded again), ``now`` the receiver's Unix time in seconds.  A timestamp that differs from ``now`` by
    more than ``tolerance`` seconds is refused, to prevent replay.  With ``event``, the header ``Threelane-Event``,
    ``signature`` is ``Threelane-Signature-V2``, and only a v2 signature passes: one that was removed is refused.
    Without it, ``signature`` is ``Threelane-Signature``, and the id of the event is not proven.
    """
    secrets = [one for one in ([secret] if isinstance(secret, str) else secret) if one]
    if not secrets or not _SECONDS.fullmatch(str(timestamp)) or abs(now - int(timestamp)) > tolerance:
        return False
    if event is None:
        expected = [sign(one, int(timestamp), body) for one in secrets]
    elif _EVENT_ID.fullmatch(event):
        expected = [sign_event(one, int(timestamp), event, body) for one in secrets]
    else:
        return False
    presented = [one.strip().encode("utf-8", "replace") for one in signature[:_MOST_LENGTH].split(",")]
    right = [hmac.compare_digest(one.encode(), other) for one in expected for other in presented]  # compares each
    return any(right)


def _digest(secret: str, prefix: str, body: bytes) -> str:
    if not secret:
        raise ValueError("the secret is empty: anybody could sign")
    return hmac.new(secret.encode(), prefix.encode() + body, "sha256").hexdigest()
