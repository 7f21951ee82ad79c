"""HTTP: the HTTP API."""
