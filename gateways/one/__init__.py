"""One: the One API."""
