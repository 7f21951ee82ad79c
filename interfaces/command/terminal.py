"""Terminal: the console and the tables that all commands print; foreign text has no effect on them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleOptions, OverflowMethod, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from threelane.runtime.visible import visible_lines

WHOLE = 100_000  # columns of a pipe: each row of a table is one line, for grep
LEAST_PROSE = 20  # columns that a value of several words gets, if it is not shorter
LONGEST_LABEL = 32  # columns; a longer value with spaces is prose, which wraps at words
MOST_LINES = 5  # of a row; a table with a taller one becomes blocks
INDENT = "  "
USUAL = 80  # columns of a terminal that does not say how many it has


class Terminal(Console):
    """A console that shows control characters of what it prints as escapes; its own styles stay.

    Its width is that of the terminal, or COLUMNS; a pipe or file without COLUMNS gets each row as one line.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of a console; names that contain words between colons stay as they are."""
        super().__init__(**{"emoji": False} | options)

    @property
    def size(self) -> ConsoleDimensions:
        """Return the columns and lines there are."""
        found = super().size
        if not found.width:  # COLUMNS=0, as cron and editors set it
            return ConsoleDimensions(USUAL if self.file.isatty() else WHOLE, found.height)
        columns = self._environ.get("COLUMNS", "")
        if self._width is not None or columns.isdigit() or self.file.isatty():
            return found
        return ConsoleDimensions(WHOLE, found.height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a word that is wider than the terminal stays whole, and the terminal wraps it."""
        super().print(*objects, **{"crop": False} | options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string's text; tables measure their cells with it."""
        return super().render_str(visible_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a renderable and of its parts, such as texts that were no strings."""
        return self._visible(super().render(renderable, options))

    @staticmethod
    def _visible(segments: Iterable[Segment]) -> Iterator[Segment]:
        for one in segments:
            yield one if one.control else Segment(visible_lines(one.text), one.style)


class Table(RichTable):
    """A table that shows every value whole: where its columns do not fit, each row becomes a block of lines.

    Ids, numbers, times and other short values are never wrapped; prose wraps at words.
    """

    def __init__(self, *headers: Column | str, **options: Any) -> None:
        """Take the names of the columns; it has a line below them only."""
        super().__init__(*headers, **{"box": SIMPLE_HEAD} | options)

    def add_column(self, *header: Any, overflow: OverflowMethod = "fold", **options: Any) -> None:
        """Add a column; a value that is too long for it is folded, where rich would cut it."""
        super().add_column(*header, overflow=overflow, **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the rows side by side if they fit, at need without empty columns, else as blocks."""
        cells = [[_text(console, cell) for cell in column.cells] for column in self.columns]
        if (table := self._fitting(cells, options.max_width)) is None:
            yield from self._blocks(console, options, cells)
        else:
            yield from RichTable.__rich_console__(table, console, options)

    def _fitting(self, cells: Sequence[Sequence[Text]], width: int) -> Table | None:
        """Return the table that shows these cells side by side, or None if they do not fit."""
        every = range(len(self.columns))
        filled = [place for place in every if any(one.plain.strip() for one in cells[place])]
        for places in (every, filled):
            table = copy(self)
            table.columns = [replace(self.columns[place], _index=index) for index, place in enumerate(places)]
            plain = [[one.plain for one in cells[place]] for place in places]
            if widths := table._widths(plain, width):
                for column, wide in zip(table.columns, widths, strict=True):
                    column.width = wide
                return table
        return None

    def _widths(self, cells: Sequence[Sequence[str]], most: int) -> list[int] | None:
        """Return the width of each column, or None if the values do not fit side by side."""
        room = most - self._extra_width - sum(map(self._get_padding_width, range(len(self.columns))))
        names = [self._name(column) for column in self.columns]
        widest = [max(map(_width, (name, *of))) for name, of in zip(names, cells, strict=True)]
        if sum(widest) <= room:
            return widest
        least = [max(_longest_word(name), *map(_least, of), 1) for name, of in zip(names, cells, strict=True)]
        spare, wanted = room - sum(least), sum(widest) - sum(least)
        if spare < 0:
            return None
        widths = [low + (high - low) * spare // wanted for low, high in zip(least, widest, strict=True)]
        tallest = max((_lines(one, width) for of, width in zip(cells, widths, strict=True) for one in of), default=1)
        return widths if tallest <= MOST_LINES else None

    def _blocks(self, console: Console, options: ConsoleOptions, cells: Sequence[Sequence[Text]]) -> RenderResult:
        """Yield each row as lines ``name: value`` without its empty values, with a blank line between rows."""
        if self.title:
            yield from _wrapped(_text(console, self.title), console, options.max_width)
        style = console.get_style(self.style or "")
        for number, row in enumerate(zip(*cells, strict=True)):
            if number and not self._is_list:
                yield Segment.line()
            for name, value in self._named(row):
                line = Text.assemble((f"{name}: ", "table.header"), value) if name else value.copy()
                line.style = style
                yield from _wrapped(line, console, options.max_width)
        if not self._is_list:
            yield Segment.line()

    @property
    def _is_list(self) -> bool:
        """Whether each row is a name and a value."""
        return not self.show_header and len(self.columns) == 2

    def _named(self, row: Sequence[Text]) -> Iterator[tuple[str, Text]]:
        if self._is_list:
            yield row[0].plain, row[1]
            return
        for column, value in zip(self.columns, row, strict=True):
            if value.plain.strip():
                yield self._name(column), value

    def _name(self, column: Column) -> str:
        return str(column.header) if self.show_header else ""


def _text(console: Console, cell: Any) -> Text:
    return console.render_str(cell, highlight=False) if isinstance(cell, str) else cell


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _least(text: str) -> int:
    """Return the width below which a value would break: prose has words, anything else is whole."""
    width = _width(text)
    if width <= LONGEST_LABEL or " " not in text:
        return width
    return max(_longest_word(text), LEAST_PROSE)


def _lines(text: str, width: int) -> int:
    return sum(len(_breaks(paragraph, width)) + 1 for paragraph in text.split("\n"))


def _breaks(text: str, width: int) -> list[int]:
    """Return where the lines of a paragraph begin after the first; a word that is wider stays whole."""
    offsets: list[int] = []
    used = 0
    for word in re.finditer(r"\S+\s*", text):
        if used and used + cell_len(word[0].rstrip()) > width:
            offsets.append(word.start())
            used = 0
        used += cell_len(word[0])
    return offsets


def _wrapped(text: Text, console: Console, width: int) -> Iterator[Segment]:
    """Yield the lines of a value, wrapped at words and indented after the first."""
    whole = console.options.update(width=WHOLE, no_wrap=True, overflow="ignore")
    lines = [
        line
        for paragraph in text.split("\n", allow_blank=True)
        for line in paragraph.divide(_breaks(paragraph.plain, width - len(INDENT)))
    ]
    for number, line in enumerate(lines):
        line.rstrip()
        yield Segment(INDENT if number else "")
        yield from console.render(line, whole)
