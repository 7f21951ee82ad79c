"""Stack file: the file to which ``threelane up`` writes its addresses, and how the command line uses them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

from threelane.runtime import secret_files

STACK_FILE = Path(".threelane/stack.json")
_VARIABLE = re.compile(r"THREELANE_[A-Z0-9_]+")
_VALUE = re.compile(r"[^\0\ud800-\udfff]*")  # what the system takes: no NUL, and no character without an encoding


class RunningStack(NamedTuple):
    """A stack that runs in this folder."""

    pid: int
    environment: dict[str, str]


def running_stack() -> RunningStack | None:
    """Return the stack that the file describes; None if it has ended, or if the file is missing or damaged."""
    try:
        stack = json.loads(STACK_FILE.read_text(encoding="utf-8"))
        pid, environment = stack["pid"], stack["environment"]
        if type(pid) is not int or pid < 1 or not _is_environment(environment):
            return None
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return RunningStack(pid, environment)


def use_stack(environment: MutableMapping[str, str]) -> None:
    """Add the settings of a stack running in this folder, unless Redis is already set.

    Only the command line calls this: a library must not read a file in the current folder.
    """
    if not _is_free(environment, "THREELANE_REDIS_URL"):
        return
    if stack := running_stack():
        environment.update({name: value for name, value in stack.environment.items() if _is_free(environment, name)})


def _is_environment(found: object) -> bool:
    """Return whether the system takes these as variables, all of them settings."""
    return isinstance(found, dict) and all(
        _VARIABLE.fullmatch(name) and isinstance(value, str) and _VALUE.fullmatch(value)
        for name, value in found.items()
    )


def _is_free(environment: MutableMapping[str, str], variable: str) -> bool:
    return not {variable, secret_files.variable(variable.removeprefix(secret_files.PREFIX))} & set(environment)
