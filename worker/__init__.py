"""Worker: the steps of a message after accept, one folder each."""
