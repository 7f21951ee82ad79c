"""Rates: the field names of the token buckets and the balance, for Python and the scripts."""

from __future__ import annotations

from enum import StrEnum


class Rate(StrEnum):
    """A field of a bucket, computed by bucket.lua, or of the balance."""

    TOKENS = "tokens"  # parts that may be sent now
    AT = "at"  # when they were counted, ms
    RAMP = "ramp"  # since when the rate ramps up after a hold, ms
    RESUMED = "resumed"  # when the account was last resumed, ms
    ASKS = "asks"  # look-ups that are allowed now
    ASKED = "asked"  # when they were counted, ms
    LEFT = "left"  # requests that an API key has left; credits that are not claimed yet
