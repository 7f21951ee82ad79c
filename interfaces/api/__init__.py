"""API: what producers and operators may do over HTTP, with a key."""
