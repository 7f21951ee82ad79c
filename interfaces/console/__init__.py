"""Console: the operator's page at /console, a few forms in plain HTML beside the HTTP API."""
