"""Doubt: looks up messages that may have been sent before anything else happens to them."""
