"""The page docs/interop.md: the clients, what each was tried with, and what came of it."""

from __future__ import annotations

from pathlib import Path

from tests.interop.clients import CLIENTS, STEPS, Client, Patch

FILE = Path(__file__).parents[2] / "docs/interop.md"
_HEAD = """\
# Published clients

Written by `make interop ARGS="--write"` from a run in which every client did what this page says; the list is
[tests/interop/clients.py](../tests/interop/clients.py).

`make interop` installs published clients of Clickatell's APIs in environments of their own, below `.interop`, and runs
them against the [sandbox](../sandbox/README.md). They parse every response with their own code, so they show whether
the sandbox behaves as their authors found Clickatell to behave. Each outcome is compared with the sandbox's ledger.
The run needs PyPI, npm, and Node.js 18 or newer. `ARGS="--only apprise"` tries some of the clients.
The package `clickatell-api` is that of the repository `node-clickatell-api`.

"""


def render() -> str:
    """Return the page."""
    return "".join([_HEAD, _steps(), _table(), _notes(), _patches()])


def _steps() -> str:
    lines = [f"| {name} | {what} |" for name, what in STEPS.items()]
    return "\n".join(["| step | what the client is called for |", "|---|---|", *lines, "", ""])


def _table() -> str:
    head = ["client", "version", "registry", "API", *STEPS]
    numbers = _numbers()
    lines = [" | ".join(["", *_row(client, numbers), ""]).strip() for client in CLIENTS]
    return "\n".join(
        [
            "## Results",
            "",
            "`yes`: the sandbox's ledger and the client's report are what the caller meant. `-`: the client has no",
            "such call. A number refers to the list below.",
            "",
            " | ".join(["", *head, ""]).strip(),
            "|" + "---|" * len(head),
            *lines,
            "",
            "",
        ]
    )


def _row(client: Client, numbers: dict[str, int]) -> list[str]:
    cells = [str(numbers[client.differs[step].reason]) if step in client.differs else "yes" for step in client.steps]
    outcome = dict(zip(client.steps, cells, strict=True))
    return [client.name, client.version, client.registry, client.api, *(outcome.get(step, "-") for step in STEPS)]


def _numbers() -> dict[str, int]:
    """Return a number for each difference, in the order of the table."""
    reasons = dict.fromkeys(each.reason for client in CLIENTS for each in client.differs.values())
    return {reason: number for number, reason in enumerate(reasons, 1)}


def _notes() -> str:
    return "\n".join([*(f"{number}. {reason}." for reason, number in _numbers().items()), "", ""])


def _patches() -> str:
    lines = ["## What was changed", "", "| client | API | changed |", "|---|---|---|"]
    for client in CLIENTS:
        changes = [client.changed] if client.changed else []
        changes += map(_change, client.patches)
        lines.append(f"| {client.name} ({client.registry}) | {client.api} | {'<br>'.join(changes)} |")
    return "\n".join([*lines, ""])


def _change(patch: Patch) -> str:
    return f"`{patch.file}`: `{patch.old}` becomes `{patch.new}`{f' ({patch.why})' if patch.why else ''}"
