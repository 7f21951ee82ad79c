"""Clickatell: what its documents and our registers name, where each is implemented, and which test shows it.

``python -m threelane.operations.clickatell.page > docs/clickatell.md`` generates the page; a test compares the two, and
checks that each symbol and each test exists.
"""
