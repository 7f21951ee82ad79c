"""Inbound: reads Clickatell's callbacks into values."""
