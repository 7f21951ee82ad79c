"""Signature: proof for a receiver that a webhook comes from Threelane, is unchanged, and is fresh.

``Threelane-Signature: v1=<hex>`` is the HMAC-SHA256 of ``<Threelane-Timestamp>.<body>``, keyed with the secret that was
shown when the webhook was registered.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

EVENT: Final = "Threelane-Event"
TIMESTAMP: Final = "Threelane-Timestamp"
SIGNATURE: Final = "Threelane-Signature"
_VERSION = "v1="
_SECONDS = re.compile(r"[0-9]{1,12}")


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a body at a time (Unix time, s); raises ValueError when the secret is empty."""
    if not secret:
        raise ValueError("the secret is empty: anybody could sign")
    digest = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, "sha256")
    return _VERSION + digest.hexdigest()


def verify(secret: str, timestamp: str | int, body: bytes, signature: str, now: float, tolerance: float = 300) -> bool:
    """Return whether a webhook is genuine, in constant time; does not raise.

    ``timestamp`` and ``signature`` are the headers as received, ``body`` the bytes as received (not JSON that was
    decoded and encoded again), ``now`` the receiver's Unix time in seconds.  A timestamp that differs from ``now`` by
    more than ``tolerance`` seconds is refused, to prevent replay.
    """
    if not secret or not _SECONDS.fullmatch(str(timestamp)) or abs(now - int(timestamp)) > tolerance:
        return False
    expected = sign(secret, int(timestamp), body)
    return hmac.compare_digest(expected.encode(), signature.strip().encode("utf-8", "replace"))
