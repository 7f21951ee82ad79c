"""Documents: the commands in the README and docs/, so that a test can run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FILES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "sandbox" / "README.md", *ROOT.glob("docs/**/*.md")]
)
SHELL = ("bash", "console")
_FENCE = re.compile(r"^```(\w*)\s*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*=.*")


class Block(NamedTuple):
    """One fenced block: its location, language and content."""

    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


class Command(NamedTuple):
    """One line of a shell: its environment variables and its words."""

    settings: dict[str, str]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.words)


def blocks(file: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a file."""
    text = file.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(file, text.count("\n", 0, found.start()) + 1, found[1], found[2])


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a block: the lines that start with $ or, if there are none, every line except output."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        words = [] if line.startswith("{") else shlex.split(line, comments=True)
        typed = [word for word in words if not _SETTING.fullmatch(word)]
        leading = words[: words.index(typed[0])] if typed else []
        if typed:
            yield Command(dict(one.split("=", 1) for one in leading), tuple(words[len(leading) :]))


def spans(file: Path) -> Iterator[str]:
    """Yield the code spans, outside of fenced blocks."""
    text = _FENCE.sub("", file.read_text(encoding="utf-8"))
    yield from (found[1] for found in _SPAN.finditer(text))
