"""Variables: which names of the environment somebody reads, and which one a misspelt name is nearest to."""

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
    "THREELANE_*_SERVICE_HOST": "whoever looks for a Service of Kubernetes",
    "THREELANE_*_SERVICE_PORT": "whoever looks for a Service of Kubernetes",
    "THREELANE_*_SERVICE_PORT_*": "whoever looks for a Service of Kubernetes",
    "THREELANE_*_PORT_*_TCP*": "whoever looks for a Service of Kubernetes",
}
"""Names, or patterns of names, that are no settings -> who reads them."""


class Unknown(NamedTuple):
    """A variable that nothing reads, and the name that it is nearest to; '' if none is near."""

    name: str
    nearest: str


def names(kind: type[BaseSettings]) -> Iterator[str]:
    """Yield the variables that a class of settings reads."""
    prefix = str(kind.model_config.get("env_prefix", ""))
    yield from (f"{prefix}{name}".upper() for name in kind.model_fields)


def known(independent: Iterable[type[BaseSettings]] = ()) -> set[str]:
    """Return every setting's variable, with the files of those that are secret, and those of independent programs."""
    every = {name for kind in (*REGISTER, *independent) for name in names(kind)}
    files = {secret_files.variable(name) for kind in REGISTER for name in secret_files.secret_fields(kind)}
    return every | files


def unknown(environment: Mapping[str, str], independent: Iterable[type[BaseSettings]] = ()) -> Iterator[Unknown]:
    """Yield the variables with our prefix that nothing reads.

    Settings are known once their modules are imported.  What begins like the variables of an ``independent`` class has
    to be one of them; without the class nobody can tell.
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
    """Log a warning for each variable of this process that nothing reads: a misspelt setting is without effect."""
    for one in unknown(os.environ):
        logs.event("unknown_setting", level=30, variable=one.name, nearest=one.nearest)


def _is_read_elsewhere(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in READ_ELSEWHERE)
