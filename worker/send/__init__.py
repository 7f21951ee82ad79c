"""Send: claim, call, settle."""
