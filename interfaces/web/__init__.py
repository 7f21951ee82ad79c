"""Web: API and console in one process."""
