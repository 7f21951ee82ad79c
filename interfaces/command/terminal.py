"""Terminal: the console and the tables that all commands print; foreign text has no effect on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, OverflowMethod, RenderableType
from rich.segment import Segment
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from threelane.runtime.visible import visible_lines


class Terminal(Console):
    """A console that shows control characters of what it prints as escapes; its own styles stay."""

    def __init__(self, **options: Any) -> None:
        """Take the options of a console; names that contain words between colons stay as they are."""
        super().__init__(**{"emoji": False} | options)

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
    """A table that shows every value whole, on several lines where the terminal is narrow."""

    def __init__(self, *headers: Column | str, **options: Any) -> None:
        """Take the names of the columns; it has a line below them only."""
        super().__init__(*headers, **{"box": SIMPLE_HEAD} | options)

    def add_column(self, *header: Any, overflow: OverflowMethod = "fold", **options: Any) -> None:
        """Add a column; a value that is too long for it is folded, where rich would cut it."""
        super().add_column(*header, overflow=overflow, **options)
