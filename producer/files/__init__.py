"""Files: a file of messages, row by row."""
