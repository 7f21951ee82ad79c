"""Interop: published clients of Clickatell, each in an environment of its own, against the sandbox.

``make interop``, or ``make interop ARGS="--write"`` to write docs/interop.md; ``--only apprise`` tries some.  Exits
with 1 if a step comes out differently from what ``clients.py`` says, and with 4 if a client could not be tried.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import Progress

from tests.interop import checks, page
from tests.interop.clients import CLIENTS, Client, Difference
from tests.interop.environments import NotAvailable, prepare
from threelane.sandbox.running import Running

_STEP_SECONDS = 60
_REPORT = "REPORT "
_AT_ONCE = ("--gateway-after-seconds", "0", "--handset-after-seconds", "0")
NOT_TRIED = 4


class Tried(NamedTuple):
    """What came of a client: for each of its steps None or the difference; or why it was not tried."""

    client: Client
    steps: dict[str, str | None]
    missing: str = ""

    @property
    def surprises(self) -> list[str]:
        """Steps that came out differently from what the list of clients says."""
        return [step for step, differs in self.steps.items() if not _is_known(self.client.differs.get(step), differs)]


def _is_known(known: Difference | None, differs: str | None) -> bool:
    """Return whether an outcome is the one that the list of clients names."""
    return known.seen in differs if known and differs else known is None and differs is None


def main(words: list[str]) -> int:
    """Try every client; return the exit code."""
    parser = argparse.ArgumentParser(prog="make interop")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="NAME", help="clients whose name has one of these words"
    )
    parser.add_argument("--write", action="store_true", help=f"write {page.FILE.name} from this run")
    options = parser.parse_args(words)
    chosen = [one for one in CLIENTS if not options.only or any(word in one.title for word in options.only)]
    with Running.start("--seed", "19", *_AT_ONCE) as sandbox, Progress(console=Console(stderr=True)) as progress:
        tried = [_try(client, sandbox) for client in progress.track(chosen, description="clients")]
    for one in tried:
        _print(one)
    if any(one.surprises for one in tried):
        return 1
    if any(one.missing for one in tried):
        return NOT_TRIED
    if options.write and not options.only:
        page.FILE.write_text(page.render(), "utf-8")
    return 0


def _try(client: Client, sandbox: Running) -> Tried:
    try:
        environment = prepare(client)
    except NotAvailable as why:
        return Tried(client, {}, str(why))
    address = urlsplit(sandbox.url)
    variables = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        **environment.variables,
        "CLIENT_API": client.api,
        "SANDBOX_URL": sandbox.url,
        "SANDBOX_HOST": str(address.hostname),
        "SANDBOX_PORT": str(address.port),
    }
    return Tried(client, {step: _step(step, environment.words, variables, sandbox) for step in client.steps})


def _step(step: str, words: tuple[str, ...], variables: dict[str, str], sandbox: Running) -> str | None:
    """Run a driver for one step; return how its outcome differs from what its caller meant."""
    sandbox.control("POST", "reset")
    since = time.time()
    done = subprocess.run(
        [*words, step],
        env=variables | checks.plan(),
        capture_output=True,
        text=True,
        timeout=_STEP_SECONDS,
        check=False,
    )
    reports = [line.removeprefix(_REPORT) for line in done.stdout.splitlines() if line.startswith(_REPORT)]
    if not reports:
        return f"the client ends with {done.returncode}: {done.stderr.strip()[-300:]}"
    return checks.difference(step, json.loads(reports[0]), sandbox, since)


def _print(tried: Tried) -> None:
    print(f"{tried.client.title}: {tried.missing or ''}")
    for step, differs in tried.steps.items():
        mark = "SURPRISE: " if step in tried.surprises else "as listed: " if differs else ""
        print(f"  {step:10} {mark}{differs or 'passes'}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
