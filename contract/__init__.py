"""Contract: what may be said: a message, its fields, and every refusal before it is accepted."""
