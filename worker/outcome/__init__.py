"""Outcome: what became of a message is brought to the producer that sent it."""
