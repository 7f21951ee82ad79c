"""Secret output: prints a new secret once, or writes it to a new file that only its owner can read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from threelane.contract.schedule import DAY
from threelane.interfaces.command.printing import wrong_usage

HOUR = DAY // 24  # ms
MOST_HOURS = 24 * 90  # of an overlap
SecretFile = Annotated[
    Path | None,
    typer.Option(help="Write the secret to this new file (mode 0600) instead of printing it."),
]


@contextmanager
def secret_file(path: Path | None) -> Iterator[TextIO | None]:
    """Open a new file before the secret exists, so that none is lost; removes the file if the command fails."""
    if path is None:
        yield None
        return
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        wrong_usage(f"{path} exists: give the name of a new file, so that no secret is overwritten")
    except OSError as failed:
        wrong_usage(f"{path} cannot be written ({failed.strerror}): correct the path")
    with os.fdopen(number, "w", encoding="utf-8") as opened:
        try:
            yield opened
        except BaseException:
            path.unlink(missing_ok=True)
            raise
