"""Results: the rows of the table, statistics of repeated runs, and the table as text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

NO_TARGET = "-"
HEADS = ("", "what", "target", "measured", "")


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One row of the table; ``met`` is None where there is no target."""

    number: int
    what: str
    target: str
    measured: str
    met: bool | None = None

    @property
    def verdict(self) -> str:
        """Return whether the target was met, as text."""
        return {True: "met", False: "NOT MET", None: "info"}[self.met]

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row."""
        return str(self.number), self.what, self.target, self.measured, self.verdict


@dataclass(slots=True)
class Results:
    """All rows, the figures of each system, and the notes."""

    rows: list[BenchRow] = field(default_factory=list)
    systems: list[Mapping[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_met(self) -> bool:
        """Return whether every target was met."""
        return all(row.met is not False for row in self.rows)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of paired runs."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def spread(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the lowest and the highest of these ratios."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return f"{min(ratios):.2g} to {max(ratios):.2g}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile by nearest rank: the lowest value that at least this share does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def rich_table(results: Results) -> Table:
    """Return the table for a terminal; missed targets are bold red."""
    table = Table(*HEADS, show_lines=True)
    for row in sorted(results.rows, key=lambda row: row.number):
        style = "bold red" if row.met is False else ""
        table.add_row(*row.cells(), style=style)
    return table


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    cells = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)


def document(results: Results, machine: str) -> str:
    """Return RESULTS.md."""
    lines = [row.cells() for row in sorted(results.rows, key=lambda row: row.number)]
    sections = ["# Results of `make bench`", machine, markdown(HEADS, lines)]
    if results.systems:
        heads = list(results.systems[0])
        cells = [[system[head] for head in heads] for system in results.systems]
        sections += ["## Side by side", markdown(heads, cells)]
    sections += ["## Notes", "\n".join(f"- {note}" for note in results.notes)]
    return "\n\n".join(sections) + "\n"
