"""Doubt: what may have been sent is looked up before anything else happens to it."""
