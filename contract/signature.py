"""Signature: what proves to a receiver that a webhook comes from here, is whole, and is fresh.

``Threelane-Signature: v1=<hex>`` is the HMAC-SHA256 of ``<Threelane-Timestamp>.<body>``, keyed with the secret that was
shown when the webhook was set.
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
        raise ValueError("without a secret anybody could sign")
    digest = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, "sha256")
    return _VERSION + digest.hexdigest()


def verify(secret: str, timestamp: str | int, body: bytes, signature: str, now: float, tolerance: float = 300) -> bool:
    """Tell whether a webhook is genuine; in constant time, and never by raising.

    ``timestamp`` and ``signature`` are the headers as they came, ``body`` the bytes as they came (not JSON that was
    read and written again), ``now`` the receiver's time in seconds of Unix time.  A signature that is older or newer
    than ``tolerance`` seconds is refused, so that nobody can play an old one again.
    """
    if not secret or not _SECONDS.fullmatch(str(timestamp)) or abs(now - int(timestamp)) > tolerance:
        return False
    expected = sign(secret, int(timestamp), body)
    return hmac.compare_digest(expected.encode(), signature.strip().encode("utf-8", "replace"))
