"""Extras: the packages of optional parts, and the error for a part that is not installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from importlib.util import find_spec

from threelane.runtime.exits import Exit

_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,-]+)\])?.*\bextra == ['\"]([\w-]+)['\"]")


def sentence(extra: str, part: str) -> str:
    """Return the sentence with the command that installs a part of Threelane."""
    return f"{part} needs: pip install 'threelane[{extra}]'"


def includes(part: str) -> bool:
    """Return whether a part of the package is there: an image for production contains neither sandbox nor demo."""
    return find_spec(f"threelane.{part}") is not None


def require(extra: str, part: str) -> None:
    """Exit with one sentence and code 2 if a package of the extra is missing, which this part needs."""
    if any(not _is_installed(name) for name in _distributions(extra)):
        print(sentence(extra, part), file=sys.stderr)
        raise SystemExit(Exit.USAGE)


def _distributions(extra: str) -> Iterator[str]:
    """Yield the distributions of an extra, from the package metadata; nothing if Threelane is not installed."""
    try:
        declared = requires("threelane") or []
    except PackageNotFoundError:
        return
    for name, extras, wanted_by in (found.groups() for line in declared if (found := _REQUIREMENT.match(line))):
        if wanted_by == extra and name == "threelane":
            for included in (extras or "").split(","):
                yield from _distributions(included)
        elif wanted_by == extra:
            yield name


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
