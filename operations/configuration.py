"""Configuration: every setting of every process, with its default, its unit and who reads it.

``docs/configuration.md`` is written from the settings classes: ``python -m threelane.operations.configuration >
docs/configuration.md``.  A test holds the file against the classes.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from threelane.runtime import settings
from threelane.runtime.settings import Section, Settings

MODULES = ("threelane.runtime.settings", "threelane.worker.process.settings")
"""The modules that declare settings: whoever needs every class imports them."""

UNITS = {
    "seconds": "seconds",
    "mib": "MiB",
    "days": "days",
    "credits": "credits",
    "parts_per_second": "parts a second",
    "ups_per_second": "look-ups a second",
    "share": "share",
    "port": "port",
    "url": "address",
    "file": "path",
    "connections": "connections",
    "threads": "threads",
    "kept": "events",
    "backlog": "events",
}
"""The end of a name -> its unit."""

IN_WORDS = {"broker_url": "the same Redis", "worker_name": "the host's name"}
LIMITS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}  # and in this order

_HEAD = """# Configuration

Written by `python -m threelane.operations.configuration > docs/configuration.md`; change the settings classes in
[runtime/settings.py](../runtime/settings.py) and [worker/process/settings.py](../worker/process/settings.py).

Everything comes from the environment, and is looked at once, at start: a process whose settings make no sense ends with
exit code 2 and a line for each variable that is wrong. `threelane check` looks at all of them. A variable that begins
with `THREELANE_` and that nothing reads is an error there, with the nearest name; a process logs a warning of it at its
start. A *secret* is shown in no log, no error and no `repr`. A list is written with commas. `true` and `false` are also
`1` and `0`.
"""


def register() -> dict[type[Settings], Section]:
    """Return every class of settings there is."""
    for name in MODULES:
        import_module(name)
    return settings.REGISTER


def variable(name: str) -> str:
    """Return a setting's name in the environment."""
    return f"THREELANE_{name.upper()}"


def default(name: str, field: FieldInfo) -> str:
    """Return a setting's default as it would be written; in words where it is taken from elsewhere."""
    if name in IN_WORDS:
        return IN_WORDS[name]
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = ",".join(f"{one:g}" for one in value)
    if isinstance(value, float):
        value = f"{value:g}"
    if isinstance(value, bool):
        value = str(value).lower()
    return "" if value in (None, "") else f"`{value}`"


def takes(name: str, field: FieldInfo) -> str:
    """Return what may stand there: the words that are known, or the unit with its limits."""
    kinds = _kinds(field.annotation)
    if SecretStr in kinds:
        return "address, secret" if name.endswith("url") else "secret"
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if words:
        return ", ".join(f"`{word}`" for word in words)
    if any(Path in (kind, *get_args(kind)) for kind in kinds):
        return "path"
    if bool in kinds:
        return "`true`, `false`"
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    if any(get_origin(kind) is tuple for kind in kinds):
        return f"list of {unit}" if unit else "list"
    if not unit and int in kinds:
        unit = "number"
    return ", ".join([unit or "text", *_limits(field)])


def document() -> Iterator[str]:
    """Yield the lines of docs/configuration.md."""
    yield _HEAD
    for kind, (heading, read_by) in register().items():
        yield f"## {heading}\n"
        yield f"Read by {read_by}.\n"
        yield "| variable | default | takes | meaning |\n|---|---|---|---|"
        for name in kind.__annotations__:
            if name not in kind.model_fields:
                continue
            field = kind.model_fields[name]
            meaning = (field.description or "").replace("|", "\\|")
            yield f"| `{variable(name)}` | {default(name, field)} | {takes(name, field)} | {meaning} |"
        yield ""
    yield "The sandbox has settings of its own: [sandbox/README.md](../sandbox/README.md)."


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _limits(field: FieldInfo) -> Iterator[str]:
    found = {name: getattr(one, name) for one in field.metadata for name in LIMITS if hasattr(one, name)}
    if found.get("ge", 0) > found.get("gt", -1) and "ge" in found:
        found.pop("gt", None)  # the narrower one says it
    yield from (f"{words} {found[name]:g}" for name, words in LIMITS.items() if name in found)


def main() -> None:
    """Print the document."""
    print("\n".join(document()))


if __name__ == "__main__":
    main()
