"""Attacks: what somebody with one API key, an address of Redis, or nothing, can try; and what stops it."""
