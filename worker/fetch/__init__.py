"""Fetch: nudges come in, lane by lane."""
