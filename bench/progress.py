"""Progress: what is being measured, and what came of it, while one waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Tells each step on standard error, so that the table alone is on standard output."""

    def __init__(self) -> None:
        """Write to standard error."""
        self.console = Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show what is being done until it is done."""
        with self.console.status(what):
            yield

    def told(self, what: str) -> None:
        """Say what a step came to."""
        self.console.print(what, style="dim", markup=False, soft_wrap=True)
