"""Web: API and console together, as one process."""
