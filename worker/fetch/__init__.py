"""Fetch: takes nudges from the broker in the order of the lanes."""
