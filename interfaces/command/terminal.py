"""Terminal: the console that all commands print to; foreign text has no effect on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from threelane.runtime.visible import visible_lines


class Terminal(Console):
    """A console that shows control characters of what it prints as escapes; its own styles stay."""

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
