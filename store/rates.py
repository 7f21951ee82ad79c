"""Rates: the names of what stands in the token buckets and in the balance, for Python and for the scripts."""

from __future__ import annotations

from enum import StrEnum


class Rate(StrEnum):
    """A field of a bucket, or of the balance; bucket.lua does the sums."""

    TOKENS = "tokens"  # parts that may be sent now
    AT = "at"  # when that was so, ms
    RAMP = "ramp"  # since when the rate grows back after a hold, ms
    ASKS = "asks"  # look-ups that may be made now
    ASKED = "asked"  # when that was so, ms
    LEFT = "left"  # requests that a key of the HTTP API may make now; credits that are not claimed yet
