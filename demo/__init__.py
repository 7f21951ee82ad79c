"""Demo: the whole stack on one machine, as real processes."""
