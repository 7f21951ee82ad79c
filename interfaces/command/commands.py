"""Commands: imports a command when it runs; ends each without a traceback, with an exit code for its kind of end."""

from __future__ import annotations

import codecs
import os
import sys
from collections import Counter
from functools import cached_property
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from threelane.interfaces.command.registry import COMMANDS, Listed
from threelane.runtime import extras
from threelane.runtime.exits import Exit

UTC = "--utc"  # of every command


class OnDemand(TyperCommand):
    """A command, or a group of commands, as the registry lists it; its code is imported when it is used."""

    def __init__(self, listed: Listed) -> None:
        """Take what the help of the command line shows."""
        super().__init__(listed.name, help=listed.help, rich_help_panel=listed.panel or None)
        self.listed = listed

    @cached_property
    def imported(self) -> Any:  # typer has a click of its own
        """The command itself."""
        module, _, name = self.listed.source.partition(":")
        found = getattr(import_module(f"{__package__}.{module}"), name)
        whole = typer.Typer()
        if isinstance(found, typer.Typer):
            whole.add_typer(found, name=self.name, rich_help_panel=self.rich_help_panel)
        else:
            example = f"Example: {self.listed.example}"
            whole.command(self.name, epilog=example, rich_help_panel=self.rich_help_panel)(found)
        return _with_options_once(typer.main.get_group(whole).commands[self.listed.name])

    def make_context(self, *given: Any, **more: Any) -> Any:
        """Return the context of the command itself, which runs it, shows its help or completes its words."""
        return self.imported.make_context(*given, **more)


def _with_options_once(command: Any) -> Any:
    """Return a command, and all below it, as one that refuses a second value of an option, instead of taking it."""
    make_parser = command.make_parser

    def make_strict_parser(ctx: Any) -> Any:
        parser = make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            options, rest, order = parse(args)
            given = Counter(one for one in order if one.param_type_name == "option")
            repeated = (one for one, times in given.items() if times > 1)
            twice = next((one for one in repeated if not (one.multiple or one.is_flag or one.count)), None)
            if twice and not ctx.resilient_parsing:  # as while words are completed
                raise typer.BadParameter("given twice; keep one", ctx, twice)
            return options, rest, order

        parser.parse_args = parse_once
        return parser

    command.make_parser = make_strict_parser
    for below in getattr(command, "commands", {}).values():
        _with_options_once(below)
    return command


def _escaped(failed: UnicodeError) -> tuple[str, int]:
    """Return characters as JSON escapes them, which keeps JSON valid."""
    if not isinstance(failed, UnicodeEncodeError):
        raise failed
    units = failed.object[failed.start : failed.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), failed.end


ESCAPED = "threelane-escaped"
codecs.register_error(ESCAPED, _escaped)


class Commands(TyperGroup):
    """The outermost group: imports commands on demand, and turns every exception into a sentence and an exit code."""

    def __init__(self, **options: Any) -> None:
        """Have the commands of the registry, without those whose code is not part of this installation."""
        there = (one for one in COMMANDS if not one.part or extras.includes(one.part))
        super().__init__(**options | {"commands": {one.name: OnDemand(one) for one in there}})

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line; what standard output cannot encode is printed as escapes."""
        if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors=ESCAPED)
        return super().main(*arguments, **options)

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
        except Exception as fault:
            from threelane.interfaces.command.faults import ending  # imports redis, which help does without

            ended = ending(fault, ctx)
            if ended is fault:
                raise
            raise ended from None


def _discard_output() -> None:
    """Redirect pending output to the null device, so that Python's last flush does not fail."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until Python ends
