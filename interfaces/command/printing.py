"""Printing: what all commands print, and how a command ends with a sentence."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from threelane.interfaces.command.terminal import Terminal
from threelane.runtime.exits import Exit
from threelane.runtime.visible import visible_json

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
out, err = Terminal(), Terminal(stderr=True)


def print_json(value: Any) -> None:
    """Print one JSON value on one line."""
    print(visible_json(msgspec.json.encode(value).decode()))


def print_line(text: str) -> None:
    """Print a sentence without markup."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def print_limit(shown: int, most: int) -> None:
    """Print that a list may be longer, if it has as many rows as were asked for."""
    if shown == most:
        print_line(f"there may be more than {most}; raise --most to see them")


def not_found(problem: str) -> NoReturn:
    """End the command: the requested object does not exist."""
    err.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.NOT_FOUND)


def no_match(problem: str) -> NoReturn:
    """End the command: its filter matched nothing, so that nothing was changed."""
    err.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.NO_MATCH)


def wrong_usage(problem: str) -> NoReturn:
    err.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.USAGE)


def unavailable(
    problem: str, as_json: bool, unsure: Sequence[str] = (), counts: Counter[str] | None = None
) -> NoReturn:
    """End the command: Redis does not answer; ``counts`` is what was done before."""
    if as_json:
        print_json({"unavailable": problem, "unsure": unsure, "summary": counts})
    if counts and counts.total():
        err.print(f"{counts['accepted']} accepted and {counts['refused']} refused before this:", highlight=False)
    err.print(problem, markup=False, highlight=False)
    sys.stdout.flush()
    raise typer.Exit(Exit.UNAVAILABLE)
