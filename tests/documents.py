"""Documents: what the README and docs/ tell people to type, so that a test can do so."""

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
    """One fenced block: where it stands, the language it names, and what is in it."""

    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


class Command(NamedTuple):
    """One line of a shell: what is set for it, and its words."""

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
    """Yield the commands of a block; in a console, what begins with $, or, without any, all but what is printed."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        words = [] if line.startswith("{") else shlex.split(line, comments=True)
        said = [word for word in words if not _SETTING.fullmatch(word)]
        leading = words[: words.index(said[0])] if said else []
        if said:
            yield Command(dict(one.split("=", 1) for one in leading), tuple(words[len(leading) :]))


def spans(file: Path) -> Iterator[str]:
    """Yield what stands between single backticks, outside of fenced blocks."""
    text = _FENCE.sub("", file.read_text(encoding="utf-8"))
    yield from (found[1] for found in _SPAN.finditer(text))
