"""Commands for templates and opt-out lines: store, list, show, remove."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NoReturn

import redis
import typer
from rich.markup import escape

from threelane.contract import text as texts
from threelane.contract.opt_out_line import OptOutLine, OptOutLines
from threelane.interfaces.command.printing import Json, not_found, out, print_json, print_line, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import shown_at
from threelane.producer.files.template import InvalidTemplate, Template, parse
from threelane.runtime.settings import Settings, load_or_exit
from threelane.store import opt_out_lines, templates
from threelane.store.templates import StoredTemplate

app = typer.Typer(
    help="Templates: texts with placeholders, stored by name and version; and the opt-out lines of lanes and tags.",
    no_args_is_help=True,
)
opt_out = typer.Typer(
    help="Opt-out lines: a sentence that is added to the texts of a lane or a tag, unless they have it already.",
    no_args_is_help=True,
)
app.add_typer(opt_out, name="opt-out")
Reference = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The template; without a version the newest.")]
Scope = Annotated[str, typer.Argument(help="lane:2, lane:3 or tag:<tag>; lane 1 has only the line of lane:1.")]


@app.command(
    epilog="Example: threelane template put order-shipped --text 'Dear {name}, your order {order} is on its way'"
)
def put(
    name: Annotated[str, typer.Argument(help="Its name: letters, digits, spaces and . _ : / -")],
    file: Annotated[Path | None, typer.Argument(help="A file with the text, in UTF-8; - for standard input.")] = None,
    text: Annotated[str | None, typer.Option(help="The text; {name} is a placeholder, {{ and }} are braces.")] = None,
    as_json: Json = False,
) -> None:
    """Store a text as the next version of a template; the text of the newest version again is the same version."""
    if (file is None) == (text is None):
        wrong_usage("give the text: either a file, or --text")
    content = text if text is not None else _content(file or Path())
    template = _parsed("--text" if text is not None else str(file), content)
    stored, is_new = with_redis(lambda client: templates.put(client, name, content, now=now_of(client)))
    if as_json:
        print_json(_json(stored) | {"new": is_new, "placeholders": _names(template)})
        return
    needed = ", ".join(f"{{{one}}}" for one in _names(template)) or "no value"
    print_line(f"{stored.reference} {'stored' if is_new else 'is this text already'}; it needs {needed}")


@app.command("list", epilog="Example: threelane template list --json")
def list_templates(as_json: Json = False) -> None:
    """List the templates, all versions of each."""
    found = with_redis(templates.listed)
    if as_json:
        print_json([_json(one) for one in found])
        return
    table = Table("template", "stored", "by", "text")
    for one in found:
        text = (
            "[red]unreadable: messages that name it are refused[/]" if one.is_damaged else escape(_shortened(one.text))
        )
        table.add_row(
            escape(one.reference), shown_at(one.stored_at) if one.stored_at else "", escape(one.stored_by), text
        )
    out.print(table if found else "no template is stored: threelane template put NAME")


@app.command(epilog="Example: threelane template show order-shipped@2")
def show(reference: Reference, as_json: Json = False) -> None:
    """Print the text of a template, and what it needs."""

    def run(client: redis.Redis) -> StoredTemplate:
        return templates.find_one(client, reference) or _unknown(client, reference)

    found = with_redis(run)
    if found.is_damaged:
        not_found(f"{found.reference} is unreadable: threelane damaged list")
    if as_json:
        print_json(_json(found) | {"placeholders": _names(_parsed(found.reference, found.text))})
        return
    print_line(f"{found.reference}, stored {shown_at(found.stored_at)} by {found.stored_by}:")
    print_line(found.text)


@app.command(epilog="Example: threelane template remove order-shipped@1")
def remove(
    reference: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="The template; without a version all of its versions.")
    ],
) -> None:
    """Remove a version, or all of them. Accepted messages keep their text; new ones that name it are refused."""

    def run(client: redis.Redis) -> list[str]:
        return templates.remove(client, reference) or _unknown(client, reference)

    print_line(f"removed: {', '.join(with_redis(run))}")


@opt_out.command("set", epilog="Example: threelane template opt-out set tag:marketing 'Reply STOP to end'")
def set_line(scope: Scope, text: Annotated[str, typer.Argument(help="The line, at most 160 characters.")]) -> None:
    """Set the line of a lane or a tag; it replaces any earlier one, within a minute in every process."""
    line = with_redis(lambda client: opt_out_lines.set_line(client, scope, text))
    print_line(f"{line.scope} gets the line: {line.text}")
    print_line(_cost(line, load_or_exit(Settings).alphabet))


@opt_out.command("list", epilog="Example: threelane template opt-out list --json")
def list_lines(as_json: Json = False) -> None:
    """List the lines, and the unreadable ones, whose messages are refused."""
    found = with_redis(opt_out_lines.read)
    if as_json:
        print_json({"lines": found.by_scope, "unreadable": sorted(found.unreadable)})
        return
    _print_lines(found)


@opt_out.command("remove", epilog="Example: threelane template opt-out remove tag:marketing")
def remove_line(scope: Scope) -> None:
    """Remove a line; texts accepted from then on, within a minute, do not get it."""
    if not with_redis(lambda client: opt_out_lines.remove(client, scope)):
        not_found(f"{scope.strip()} has no opt-out line: threelane template opt-out list")
    print_line(f"{scope.strip()} has no opt-out line")


def stored_text(reference: str) -> StoredTemplate:
    """Return the template that an option names; ends the command if it is not stored or unreadable."""

    def run(client: redis.Redis) -> StoredTemplate:
        return templates.find_one(client, reference) or _unknown(client, reference)

    found = with_redis(run)
    if found.is_damaged:
        wrong_usage(f"--template: {found.reference} is unreadable: threelane damaged list")
    return found


def _content(file: Path) -> str:
    try:
        octets = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = octets.decode("utf-8-sig")
    except OSError as failed:
        wrong_usage(f"{file}: {failed.strerror or failed}")
    except UnicodeDecodeError:
        wrong_usage(f"{file}: bytes that are not UTF-8: save the file as UTF-8")
    return text.replace("\r\n", "\n").removesuffix("\n")  # the end of the file's last line


def _parsed(where: str, text: str) -> Template:
    if not text.strip():
        wrong_usage(f"{where}: the text is empty")
    try:
        return parse(text)
    except InvalidTemplate as wrong:
        wrong_usage(f"{where}: {wrong}")


def _names(template: Template) -> list[str]:
    return list(dict.fromkeys(template.names))


def _unknown(client: redis.Redis, reference: str) -> NoReturn:
    """End the command: a template is not stored; names those that are alike."""
    known = list(dict.fromkeys(name for one in templates.listed(client) for name in (one.name, one.reference)))
    alike = get_close_matches(reference, known, 1)
    meant = f"; did you mean {alike[0]}?" if alike else ""
    not_found(f"no template is stored as {reference!r}: threelane template list{meant}")


def _json(one: StoredTemplate) -> dict[str, Any]:
    row: dict[str, Any] = {"name": one.name, "version": one.version, "text": one.text}
    return row | {"stored_at": one.stored_at, "stored_by": one.stored_by, "unreadable": one.is_damaged}


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def _cost(line: OptOutLine, alphabet: texts.Alphabet) -> str:
    size = texts.measure(line.ending(""), alphabet=alphabet)
    if size.encoding is texts.Encoding.GSM_7:
        return f"it takes {size.units} of the 160 septets of an SMS"
    outside = dict.fromkeys(letter for letter in line.text if letter not in alphabet)
    shown_letters = " ".join(outside)
    return (
        f"{shown_letters} is outside the GSM alphabet: each text that gets this line is sent in UCS-2, with 70 instead "
        "of 160 characters in an SMS"
    )


def _print_lines(found: OptOutLines) -> None:
    table = Table("scope", "line")
    for scope, text in sorted(found.by_scope.items()):
        table.add_row(escape(scope), escape(text))
    for scope in sorted(found.unreadable):
        table.add_row(escape(scope), "[red]unreadable: nothing that gets it is accepted[/]")
    out.print(table if table.row_count else "no opt-out line: texts are sent as they are given")
