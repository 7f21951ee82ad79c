"""Interfaces: the command line, the HTTP API, the console, the callback endpoint."""
