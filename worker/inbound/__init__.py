"""Inbound: what Clickatell tells us by itself."""
