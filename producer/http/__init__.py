"""HTTP clients: the same verbs over the HTTP API."""
