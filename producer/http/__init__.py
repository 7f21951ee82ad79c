"""HTTP clients: the same operations over the HTTP API."""
