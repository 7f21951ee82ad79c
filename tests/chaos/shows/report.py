"""Report: the counts of a show as a table, and its breaches."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


class Report:
    """Counts in the order they were added; a breach makes the show fail."""

    def __init__(self, title: str) -> None:
        self._table = Table("count", "measured", "at most", title=title)
        self.breaches: list[str] = []

    def count(self, name: str, measured: object) -> None:
        """Add a count without a limit."""
        self._table.add_row(name, _text(measured))

    def limit(self, name: str, measured: float | None, most: float) -> None:
        """Add a count with its limit; None, for a thing that did not happen, is a breach."""
        sound = measured is not None and measured <= most
        shown = "not" if measured is None else _text(measured)
        self._table.add_row(name, shown if sound else f"[bold red]{shown}[/]", _text(most))
        if not sound:
            self.breaches.append(f"{name}: {shown}, at most {_text(most)}")

    def show(self, console: Console) -> bool:
        """Print the table and the breaches; returns whether there are none."""
        console.print(self._table)
        for one in self.breaches:
            console.print(f"BREACH {one}", markup=False, highlight=False)
        return not self.breaches


def _text(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
