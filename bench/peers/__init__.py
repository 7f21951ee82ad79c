"""Peers: the usual alternatives to Threelane, written the usual way."""
