"""Callbacks: the endpoint for what Clickatell reports of its own accord."""
