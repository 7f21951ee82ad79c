"""Stack file: the file to which ``threelane up`` writes its addresses, and how the command line uses them."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from pathlib import Path

from threelane.runtime import secret_files

STACK_FILE = Path(".threelane/stack.json")


def use_stack(environment: MutableMapping[str, str]) -> None:
    """Add the settings of a stack running in this folder, unless Redis is already set.

    Only the command line calls this: a library must not read a file in the current folder.
    """
    if not _is_free(environment, "THREELANE_REDIS_URL"):
        return
    try:
        stack = json.loads(STACK_FILE.read_text(encoding="utf-8"))
        os.kill(int(stack["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return
    environment.update({name: value for name, value in stack["environment"].items() if _is_free(environment, name)})


def _is_free(environment: MutableMapping[str, str], variable: str) -> bool:
    return not {variable, secret_files.variable(variable.removeprefix(secret_files.PREFIX))} & set(environment)
