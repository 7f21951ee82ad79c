"""Store: the data in Redis: keys, states, scripts, and lists that outlive a message."""
