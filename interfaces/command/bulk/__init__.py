"""Bulk: the command that enqueues a file."""
