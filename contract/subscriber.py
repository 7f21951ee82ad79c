"""Subscriber: one identity for all spellings of a recipient's number."""

from __future__ import annotations


def subscriber(msisdn: str) -> str:
    """Return the identity of the person whom a number reaches: the same for each spelling of it."""
    return msisdn
