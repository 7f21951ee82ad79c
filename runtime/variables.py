"""Variables: the environment variables that are read, and the nearest one to a misspelt name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from pydantic_settings import BaseSettings

from threelane.runtime import logs, secret_files
from threelane.runtime.settings import REGISTER

PREFIX = "THREELANE_"
READ_ELSEWHERE = {
    "THREELANE_SANDBOX_*": "the sandbox",
    "THREELANE_IMAGE": "compose.yaml",
    "THREELANE_PROMETHEUS_URL": "Grafana's data source",
    "THREELANE_TEST_*": "the tests",
    "THREELANE_EXAMPLES": "the tests",
    "THREELANE_FUZZ": "the tests",
    "THREELANE_INTERLEAVINGS": "the tests",
    "THREELANE_STEPS": "the tests",
    "THREELANE_*_SERVICE_HOST": "clients of a Kubernetes Service",
    "THREELANE_*_SERVICE_PORT": "clients of a Kubernetes Service",
    "THREELANE_*_SERVICE_PORT_*": "clients of a Kubernetes Service",
    "THREELANE_*_PORT_*_TCP*": "clients of a Kubernetes Service",
}
"""Names, or patterns of names, other than settings -> their readers."""


class Unknown(NamedTuple):
    """A variable that nothing reads, and the nearest known name, '' if none is near."""

    name: str
    nearest: str


def names(kind: type[BaseSettings]) -> Iterator[str]:
    """Yield the variables that a settings class reads."""
    prefix = str(kind.model_config.get("env_prefix", ""))
    yield from (f"{prefix}{name}".upper() for name in kind.model_fields)


def known(independent: Iterable[type[BaseSettings]] = ()) -> set[str]:
    """Return all known variables: settings, secret files, and settings of independent programs."""
    every = {name for kind in (*REGISTER, *independent) for name in names(kind)}
    files = {secret_files.variable(name) for kind in REGISTER for name in secret_files.secret_fields(kind)}
    return every | files


def unknown(environment: Mapping[str, str], independent: Iterable[type[BaseSettings]] = ()) -> Iterator[Unknown]:
    """Yield the variables with Threelane's prefix that nothing reads.

    Settings are known once their modules are imported.  A variable with the prefix of an ``independent`` class must be
    one of its settings; without the class it is not checked.
    """
    independent = tuple(independent)
    valid = known(independent)
    judged = tuple(str(kind.model_config.get("env_prefix", "")) for kind in independent)
    for name in sorted(environment):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in valid:
            continue
        if _is_read_elsewhere(upper) and not upper.startswith(judged):
            continue
        near = difflib.get_close_matches(upper.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in valid], n=1)
        yield Unknown(name, f"{PREFIX}{near[0]}" if near else "")


def warn() -> None:
    """Log a warning for each variable that nothing reads, such as a misspelt setting."""
    for one in unknown(os.environ):
        logs.event("unknown_setting", level=30, variable=one.name, nearest=one.nearest)


def _is_read_elsewhere(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in READ_ELSEWHERE)
