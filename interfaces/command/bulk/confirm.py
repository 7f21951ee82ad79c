"""Confirm: a question at the terminal; where nobody can answer, the answer is no."""

from __future__ import annotations

import sys

import typer


def is_confirmed(question: str) -> bool:
    """Ask at the terminal; returns False without a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm(question, default=False, err=True)
