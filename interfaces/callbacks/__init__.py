"""Callbacks: the endpoint for what Clickatell reports: receipts and replies."""
