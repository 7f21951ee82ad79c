"""Worker: a message's life after accept, one folder a step."""
