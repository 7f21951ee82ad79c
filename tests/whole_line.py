"""The whole command line with all of its commands imported, for tests of what it has and what the documents name."""

from __future__ import annotations

from typing import Any

import typer

from threelane.interfaces.command.line import app


def whole_line() -> Any:  # typer has a click of its own
    """Return the outermost group; its commands are those that run, not those that only the help lists."""
    group: Any = typer.main.get_command(app)
    group.commands = {name: one.imported for name, one in group.commands.items()}
    return group
