"""Commands: error handling of all commands: no traceback, and an exit code for each kind of end."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from redis.exceptions import RedisError
from typer.core import TyperGroup

from threelane.contract.gateways import InvalidGateway
from threelane.producer.outage import explain
from threelane.runtime import extras
from threelane.runtime.exits import Exit
from threelane.runtime.raised import place_of
from threelane.runtime.visible import visible_lines
from threelane.store.replies import reply_of

UTC = "--utc"  # of every command
NEGATIVE = "no number here may be negative: give 0 or more. Before a text that begins with - and a digit, write --."


class Commands(TyperGroup):
    """The outermost group: turns every unhandled exception into one sentence and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options of the whole command line, which may also follow the command."""
        options = args[: args.index("--")] if "--" in args else args
        if UTC in options:
            args = [UTC, *(one for one in options if one != UTC), *args[len(options) :]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the requested command."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, not at exit: the pipe may be closed
            return result
        except KeyboardInterrupt:
            print("interrupted; completed work is kept", file=sys.stderr)
            raise typer.Exit(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            _discard_output()
            raise typer.Exit(Exit.CLOSED) from None
        except InvalidGateway as wrong:
            print(f"threelane: {wrong}", file=sys.stderr)
            raise typer.Exit(Exit.USAGE) from None
        except RedisError as failed:
            print(visible_lines(explain(failed)), file=sys.stderr)
            raise typer.Exit(Exit.UNAVAILABLE) from None
        except Exception as fault:
            if type(fault).__name__ == "NoSuchOption" and fault.option_name[1:2].isdigit():  # type: ignore[attr-defined]
                raise typer.BadParameter(NEGATIVE, ctx=fault.ctx) from None  # type: ignore[attr-defined]
            if reply := reply_of(fault):  # too many open files
                print(reply.sentence, file=sys.stderr)
                raise typer.Exit(Exit.UNAVAILABLE) from None
            if isinstance(fault, ModuleNotFoundError) and not (fault.name or "").startswith("threelane"):
                print(extras.sentence("worker", f"threelane {ctx.invoked_subcommand}"), file=sys.stderr)
                raise typer.Exit(Exit.USAGE) from None
            if (
                type(fault).__module__.startswith(("typer", "click"))
                or os.environ.get("THREELANE_LOG_LEVEL") == "DEBUG"
            ):
                raise
            print(_fault(fault), file=sys.stderr)
            raise typer.Exit(Exit.FAULT) from None


def _discard_output() -> None:
    """Redirect pending output to the null device, so that Python's last flush does not fail."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until Python ends


def _fault(fault: Exception) -> str:
    """Return where it happened, without the exception's text, which may contain secrets."""
    return f"threelane: internal error, {place_of(fault)}; THREELANE_LOG_LEVEL=DEBUG shows more: please report it"
