"""Secret files: secrets read from files, as containers mount them: THREELANE_REDIS_URL_FILE and others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

if TYPE_CHECKING:  # the command line finds a running stack before it needs settings
    from pydantic_settings import BaseSettings

PREFIX = "THREELANE_"
MOST_OCTETS = 64 * 1024  # longer files do not hold a secret


class InvalidSecretFile(Exception):
    """A secret file is unusable; the text has the variable, the problem and the fix, never the content."""


def secret_fields(kind: type[BaseSettings]) -> Iterator[str]:
    """Yield the names of the secret settings, each of which a file may hold."""
    from pydantic import SecretStr

    for name, field in kind.model_fields.items():
        if field.annotation is SecretStr or SecretStr in get_args(field.annotation):
            yield name


def variable(name: str) -> str:
    """Return the variable that names the file of a setting."""
    return f"{PREFIX}{name.upper()}_FILE"


def read_all(kind: type[BaseSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of these settings that files hold; raises InvalidSecretFile with a line for each bad file."""
    read: dict[str, str] = {}
    wrong: list[str] = []
    for name in secret_fields(kind):
        path = environment.get(variable(name))
        if not path:
            continue
        problem = (
            "" if not environment.get(f"{PREFIX}{name.upper()}") else f"{PREFIX}{name.upper()} is also set: set one"
        )
        try:
            read[name] = read_secret(Path(path))
        except InvalidSecretFile as failed:
            problem = problem or str(failed)
        if problem:
            wrong.append(f"  {variable(name)}: {problem}")
    if wrong:
        raise InvalidSecretFile("\n".join(wrong))
    return read


def open_to_others(kind: type[BaseSettings], environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield variable and path of each file that every user of this machine can read.

    ``threelane check`` warns of it, but processes start: a container has no other users, and Kubernetes mounts
    secrets this way unless a ``defaultMode`` is set.
    """
    for name in secret_fields(kind):
        path = environment.get(variable(name))
        if path and is_open_to_others(Path(path)):
            yield variable(name), path


def is_open_to_others(path: Path) -> bool:
    """Return whether every user of this machine can read a file; False if there is none, which reading it reports."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def is_here(path: Path) -> bool:
    """Return whether there is a file, also if it cannot be read, which reading it reports."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def is_writable_by_all(path: Path) -> bool:
    """Return whether every user of this machine can write a file; raises OSError if there is none."""
    return bool(path.stat().st_mode & stat.S_IWOTH and not os.statvfs(path).f_flag & os.ST_RDONLY)


def read_secret(path: Path) -> str:
    """Return the text of a file without the final line end; raises InvalidSecretFile without the variable."""
    try:
        if is_writable_by_all(path):
            raise InvalidSecretFile(f"every user can write {path}: chmod o-w")
        with path.open("rb") as file:
            content = file.read(MOST_OCTETS + 1)
        text = content.decode()
    except OSError as failed:
        raise InvalidSecretFile(f"{path} cannot be read ({failed.strerror}): mount it, or correct the path") from None
    except UnicodeDecodeError:
        raise InvalidSecretFile(f"{path} is not UTF-8 text") from None
    if len(content) > MOST_OCTETS:
        raise InvalidSecretFile(f"{path} has more than {MOST_OCTETS} octets: it is not a secret file")
    text = text.rstrip("\r\n")
    if not text.strip():
        raise InvalidSecretFile(f"{path} is empty")
    if "\n" in text or "\r" in text or "\0" in text:
        raise InvalidSecretFile(f"{path} has several lines: keep the secret alone, on one line")
    return text
