"""Policy: tables of what each code means for its message and for others."""
