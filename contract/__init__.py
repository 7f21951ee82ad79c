"""Contract: a message, its fields, and the refusals at accept."""
