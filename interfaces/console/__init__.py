"""Console: web pages for operators at /console, plain HTML forms served beside the HTTP API."""
