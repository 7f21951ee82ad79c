"""Files: bulk sending from a file, row by row."""
