"""Counted: numbers with their nouns, as people read them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, whose plural takes an s: ``1 part``, ``1,200 parts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
