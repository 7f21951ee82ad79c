"""Overlap: secrets that a rotation replaced and that stay valid for a time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

MOST_EARLIER = 3  # valid besides the newest


class EarlierSecret(msgspec.Struct, frozen=True):
    """A replaced secret, or its digest, and until when it is valid, ms."""

    value: str
    until: int

    def __repr__(self) -> str:
        """Show the time, without the secret."""
        return f"EarlierSecret(until={self.until})"


def after_rotation(
    current: str, earlier: Sequence[EarlierSecret], now: int, overlap_ms: int
) -> tuple[EarlierSecret, ...]:
    """Return the earlier secrets after ``current`` was replaced; without an overlap, none.

    No secret gets more time than it had.  Raises ValueError if more than ``MOST_EARLIER`` would be valid.
    """
    until = now + overlap_ms
    candidates = (EarlierSecret(current, until), *earlier)
    kept = tuple(EarlierSecret(one.value, min(one.until, until)) for one in candidates if one.until > now < until)
    if len(kept) > MOST_EARLIER:
        raise ValueError(
            f"{len(kept)} earlier secrets would be valid, {MOST_EARLIER} is the most; "
            "wait until one ends, or end all of them with an overlap of 0"
        )
    return kept


def valid(earlier: Sequence[EarlierSecret], now: int) -> tuple[EarlierSecret, ...]:
    """Return the earlier secrets that are still valid, the newest first."""
    return tuple(one for one in earlier if one.until > now)
