"""Bench: measures speed and accuracy; every measurement of time is here, none in a test."""
