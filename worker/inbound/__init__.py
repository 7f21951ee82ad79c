"""Inbound: what Clickatell reports of its own accord, read into values."""
