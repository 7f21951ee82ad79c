"""Commands: what all commands have in common: nobody sees a traceback, and each way to end has its own exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import typer
from redis.exceptions import RedisError
from typer.core import TyperGroup

from threelane.contract.gateways import WrongGateway
from threelane.producer.outage import explain
from threelane.runtime import extras
from threelane.runtime.exits import Exit


class Commands(TyperGroup):
    """The outermost group: what no command has handled ends here, in a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()  # here, and not when Python ends: a pipe may be closed
            return answer
        except KeyboardInterrupt:
            print("interrupted; what was done is done", file=sys.stderr)
            raise typer.Exit(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            _let_go()
            raise typer.Exit(Exit.CLOSED) from None
        except WrongGateway as wrong:
            print(f"threelane: {wrong}", file=sys.stderr)
            raise typer.Exit(Exit.USAGE) from None
        except RedisError as failed:
            print(explain(failed), file=sys.stderr)
            raise typer.Exit(Exit.UNAVAILABLE) from None
        except Exception as fault:
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


def _let_go() -> None:
    """Send what is still to be written to nobody, so that Python's last flush does not fail."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until Python ends


def _fault(fault: Exception) -> str:
    """Return where it happened; an exception's text may say what must not be shown."""
    last = traceback.extract_tb(fault.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return (
        f"threelane: a fault of ours, {type(fault).__name__} at {where}; THREELANE_LOG_LEVEL=DEBUG shows more: tell us"
    )
