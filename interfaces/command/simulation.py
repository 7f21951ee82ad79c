"""Command sandbox: the sandbox with the simulated parts of all gateways; nothing else imports their code."""

from __future__ import annotations

import functools
from typing import Any

from threelane.contract import gateways
from threelane.sandbox import cli


@functools.wraps(cli.sandbox)
def sandbox(**given: Any) -> None:
    """Run the sandbox; its options and their help are its own."""
    cli.sandbox(**given | {"part": [*(given.get("part") or ()), *gateways.simulators()]})
