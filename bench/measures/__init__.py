"""Measures: each produces some rows of the table."""
