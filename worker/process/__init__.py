"""Process: the settings, metrics, start and stop of worker processes."""
