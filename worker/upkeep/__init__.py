"""Upkeep: the duties that a worker repeats, and the engine that runs them."""
