"""Policy: what a code means for a message and for all others, as tables."""
