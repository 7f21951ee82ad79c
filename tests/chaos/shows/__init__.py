"""Shows: small scenarios with real processes, each with its counts as a table; ``python -m tests.chaos --show 4``."""
