"""Stand-by: another account takes over what waits in one that cannot send, if that was certainly not sent."""
