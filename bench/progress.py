"""Progress: shows the running step and the results so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Prints each step on standard error, so that standard output has only the table."""

    def __init__(self) -> None:
        """Write to standard error."""
        self.console = Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while it runs."""
        with self.console.status(what):
            yield

    def report(self, result: str) -> None:
        """Print the result of a step."""
        self.console.print(result, style="dim", markup=False, soft_wrap=True)
