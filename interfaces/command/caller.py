"""Command line of a caller: send, status, features; and what all commands print with."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from threelane.contract.errors import Refused
from threelane.producer.accept import Accepted
from threelane.producer.client import Producer
from threelane.producer.outage import Unavailable
from threelane.runtime import logs
from threelane.runtime.exits import Exit
from threelane.runtime.settings import ProducerSettings, load_or_exit

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Lane = Annotated[int | None, typer.Option(help="1 (first), 2 or 3.")]
out, err = Console(), Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the one command line."""
    app.command(epilog="Example: threelane send 27831234567 'Your code is 4711' --lane 1")(send)
    app.command(epilog="Example: threelane status 0f3c... --json")(status)
    app.command(epilog="Example: threelane features --json")(features)


def features(as_json: Json = False) -> None:
    """Show what each of Clickatell's APIs can say: sent as, done by us, or refused at accept."""
    from threelane.contract.gateways import ABILITIES, FEATURES, declared

    rows = {
        feature: {name: one.parameter(feature) or None for name, one in declared().items()}
        for feature in FEATURES + ABILITIES
    }
    if as_json:
        print_json(rows)
        return
    table = Table("feature", *declared(), box=SIMPLE_HEAD)
    for feature, row in rows.items():
        table.add_row(feature, *(parameter or "-" for parameter in row.values()))
    for column in table.columns:
        column.overflow = "fold"
    out.print(table)
    out.print("- : the API lacks it, so a message that asks for it is refused at accept", highlight=False)


def send(
    to: Annotated[str, typer.Argument(help="Recipient in international form.")],
    text: Annotated[str, typer.Argument(help="What to say.")],
    lane: Lane = None,
    sender: Annotated[str | None, typer.Option("--from", help="Sender ID.")] = None,
    client_message_id: Annotated[str | None, typer.Option(help="Makes a repeated call safe.")] = None,
    deliver_at: Annotated[str | None, typer.Option(help="When, as 2031-06-30T14:00:00Z.")] = None,
    delay: Annotated[str | None, typer.Option(help="Or in how many seconds.")] = None,
    field: Annotated[list[str] | None, typer.Option(help="Any other field, as name=value.")] = None,
    as_json: Json = False,
) -> None:
    """Enqueue one message."""
    said: dict[str, Any] = {
        "to": to,
        "text": text,
        "lane": lane,
        "from": sender,
        "clientMessageId": client_message_id,
        "scheduledDeliveryTime": deliver_at,
        "delay": delay,
    }
    said |= named_values(field)
    with open_producer() as producer:
        try:
            (answer,) = producer.send_rows([{name: value for name, value in said.items() if value is not None}])
        except Unavailable as away:
            give_up(away, as_json)
    if as_json:
        print_json(answer_json(answer))
    elif isinstance(answer, Accepted):
        out.print(f"{answer.status} [bold]{answer.id}[/] lane {answer.lane}, {answer.parts} part(s) {answer.encoding}")
    else:
        err.print(f"refused {answer}", markup=False)
    raise typer.Exit(Exit.OK if answer.accepted else Exit.REFUSED)


def status(
    message_id: Annotated[str, typer.Argument(help="The id that accept gave.")],
    as_json: Json = False,
) -> None:
    """Tell how a message stands."""
    with open_producer() as producer:
        try:
            found = producer.status(message_id)
        except Unavailable as away:
            give_up(away, as_json)
    if found is None:
        not_found(f"{message_id}: unknown, or ended so long ago that it is forgotten")
    if as_json:
        print_json(found)
        return
    table = Table(show_header=False, box=None)
    for name, value in msgspec.structs.asdict(found).items():
        if value not in ("", 0, ()):
            table.add_row(name.replace("_", " "), escape(str(value)))
    out.print(table)


def named_values(pairs: list[str] | None) -> dict[str, str]:
    """Return what ``--field name=value`` says."""
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs or [])}


def open_producer() -> Producer:
    settings = load_or_exit(ProducerSettings)
    logs.configure(os.environ.get("THREELANE_LOG_LEVEL", "ERROR"))
    return Producer(settings)


def print_json(value: Any) -> None:
    """Print one JSON value in one line."""
    print(msgspec.json.encode(value).decode())


def answer_json(answer: Any, **more: Any) -> dict[str, Any]:
    """Return an answer as JSON has it."""
    if isinstance(answer, Refused):
        return more | {"accepted": False} | refusal_json(answer)
    return more | {"accepted": True} | msgspec.structs.asdict(answer)


def refusal_json(refused: Refused) -> dict[str, Any]:
    """Return a refusal as JSON has it; ``id`` is that of the accepted message that stands in the way."""
    fields = msgspec.structs.asdict(refused.refusal)
    return fields | {"id": fields.pop("accepted_id")}


def say(sentence: str) -> None:
    """Print a sentence as it is."""
    out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def not_found(problem: str) -> NoReturn:
    """End: what was asked for is not there."""
    err.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.NOT_FOUND)


def wrong_usage(problem: str) -> NoReturn:
    err.print(problem, markup=False, highlight=False)
    raise typer.Exit(Exit.USAGE)


def give_up(away: Unavailable, as_json: bool, told: Counter[str] | None = None) -> NoReturn:
    if as_json:
        print_json({"unavailable": str(away), "unsure": away.unsure, "summary": told})
    if told and told.total():
        err.print(f"{told['accepted']} accepted and {told['refused']} refused before this:", highlight=False)
    err.print(str(away), markup=False, highlight=False)
    sys.stdout.flush()
    raise typer.Exit(Exit.UNAVAILABLE)
