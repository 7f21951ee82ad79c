"""Peers: what teams would use instead, written as they write it."""
