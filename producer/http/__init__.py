"""HTTP: what a caller may do, over the network, with a key."""
