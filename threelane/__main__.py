"""Main: the command ``threelane``, also as ``python -m threelane``."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command line; where its libraries are missing, end with one sentence and code 2."""
    if sys.argv[1:2] == ["--version"]:
        from threelane.runtime.version import version_line  # before all other imports: it needs none

        print(version_line())
        return
    from threelane.interfaces.command.registry import BY_NAME, PROCESSES
    from threelane.runtime import extras

    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    listed = BY_NAME.get(command)
    extras.require(listed.extra if listed else "cli", f"threelane {command}".strip())
    if listed and listed.panel == PROCESSES:
        from threelane.runtime.ending import end_at_once

        end_at_once()
    from threelane.interfaces.command.line import main as run

    run()


def _ignore_folder() -> None:
    """Import nothing from the current folder, which ``python -m`` puts first: a team's celery.py is not Celery."""
    folder = os.getcwd()
    if sys.path[0] == folder and Path(__file__).parents[1] != Path(folder):
        del sys.path[0]


if __name__ == "__main__":
    _ignore_folder()
    main()
