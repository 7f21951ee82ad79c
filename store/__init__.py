"""Store: what is kept in Redis: keys, states, scripts, and the lists that outlive a message."""
