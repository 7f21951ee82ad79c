"""Measures: each makes some rows of the table."""
