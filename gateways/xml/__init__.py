"""XML: the XML API."""
