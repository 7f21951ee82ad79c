"""Faults: how a command ends after an exception: with one sentence and the exit code of its kind."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from redis.exceptions import RedisError

from threelane.contract.gateways import InvalidGateway
from threelane.producer.explanation import explain
from threelane.runtime import extras
from threelane.runtime.exits import Exit
from threelane.runtime.raised import place_of
from threelane.runtime.visible import visible_lines
from threelane.store.replies import reply_of

NEGATIVE = "no number here may be negative: give 0 or more. Before a text that begins with - and a digit, write --."


def ending(fault: Exception, ctx: Any) -> Exception:
    """Print the sentence for an exception of a command; return the exception that ends the command line."""
    if type(fault).__name__ == "NoSuchOption" and fault.option_name[1:2].isdigit():  # type: ignore[attr-defined]
        return typer.BadParameter(NEGATIVE, ctx=fault.ctx)  # type: ignore[attr-defined]
    if type(fault).__module__.startswith(("typer", "click")):
        return fault
    sentence, code = _explained(fault, f"threelane {ctx.invoked_subcommand}")
    if code is Exit.FAULT and os.environ.get("THREELANE_LOG_LEVEL") == "DEBUG":
        return fault
    print(sentence, file=sys.stderr)
    return typer.Exit(code)


def _explained(fault: Exception, command: str) -> tuple[str, Exit]:
    """Return the sentence and the exit code of an exception."""
    if isinstance(fault, InvalidGateway):
        return f"threelane: {fault}", Exit.USAGE
    if isinstance(fault, RedisError):
        return visible_lines(explain(fault)), Exit.UNAVAILABLE
    if reply := reply_of(fault):  # too many open files
        return reply.sentence, Exit.UNAVAILABLE
    if isinstance(fault, ModuleNotFoundError) and not (fault.name or "").startswith("threelane"):
        return extras.sentence("worker", command), Exit.USAGE
    return _internal(fault), Exit.FAULT


def _internal(fault: Exception) -> str:
    """Return where it happened, without the exception's text, which may contain secrets."""
    return f"threelane: internal error, {place_of(fault)}; THREELANE_LOG_LEVEL=DEBUG shows more: please report it"
