"""Results: rows of the table, how figures of repeated runs become one, and the table as text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

HEADS = ("", "what", "must reach", "measured", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``met`` is None where something is only told."""

    number: int
    what: str
    target: str
    measured: str
    met: bool | None = None

    @property
    def verdict(self) -> str:
        """Return in a word or two whether the target was reached."""
        return {True: "met", False: "NOT MET", None: "told"}[self.met]

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the line."""
        return str(self.number), self.what, self.target, self.measured, self.verdict


@dataclass(slots=True)
class Results:
    """All rows, what each side did, what was chosen, and remarks."""

    rows: list[Row] = field(default_factory=list)
    sides: list[Mapping[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_met(self) -> bool:
        """Tell whether no target was missed."""
        return all(row.met is not False for row in self.rows)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of runs that were made side by side, in the same order."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def spread(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the least and the greatest of these ratios."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return f"{min(ratios):.2g} to {max(ratios):.2g}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least so large a share of all does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def rich_table(results: Results) -> Table:
    """Return the table for a terminal; what is not met cannot be overlooked."""
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
    if results.sides:
        heads = list(results.sides[0])
        sections += ["## Side by side", markdown(heads, [[side[head] for head in heads] for side in results.sides])]
    sections += ["## Notes", "\n".join(f"- {note}" for note in results.notes)]
    return "\n\n".join(sections) + "\n"
