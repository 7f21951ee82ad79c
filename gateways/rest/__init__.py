"""REST: the Central REST API."""
