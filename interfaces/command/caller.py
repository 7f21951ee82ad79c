"""Commands send, status and features; and the printing functions of all commands."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.markup import escape

from threelane.contract import duration
from threelane.contract.duration import MINUTE_SECONDS
from threelane.contract.errors import Refused
from threelane.contract.fields import BY_SPELLING
from threelane.interfaces.command.terminal import Table, Terminal
from threelane.interfaces.command.values import age, credits, duration_in, masked, shown_at
from threelane.producer.accept import Accepted
from threelane.producer.client import Producer
from threelane.producer.outage import Unavailable
from threelane.runtime import logs
from threelane.runtime.exits import Exit
from threelane.runtime.settings import ProducerSettings, load_or_exit
from threelane.runtime.visible import visible_json
from threelane.store.status import MessageStatus

DURATION_FIELDS = {"delay": 1, "retry_every": 1, "stop_retrying_after": 1, "validity_period": MINUTE_SECONDS}
"""The fields of a message that are lengths of time, each with its unit in seconds."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Lane = Annotated[int | None, typer.Option(help="1 (highest), 2 or 3.")]
out, err = Terminal(), Terminal(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog="Example: threelane send 27831234567 'Your code is 4711' --lane 1")(send)
    app.command(epilog="Example: threelane status 0f3c... --json")(status)
    app.command(epilog="Example: threelane features --json")(features)


def features(as_json: Json = False) -> None:
    """Show how each gateway API supports each feature: by a parameter, through Threelane, or not at all."""
    from threelane.contract.gateways import ABILITIES, FEATURES, declared

    rows = {
        feature: {name: one.parameter(feature) or None for name, one in declared().items()}
        for feature in FEATURES + ABILITIES
    }
    if as_json:
        print_json(rows)
        return
    table = Table("feature", *declared())
    for feature, row in rows.items():
        table.add_row(feature, *(parameter or "-" for parameter in row.values()))
    out.print(table)
    out.print("- : the API lacks it, so a message that uses it is refused at accept", highlight=False)


def send(
    to: Annotated[str, typer.Argument(help="The recipient; without + or 00 read as THREELANE_NUMBERS says.")],
    text: Annotated[str | None, typer.Argument(help="The message text.")] = None,
    template: Annotated[
        str | None, typer.Option(metavar="NAME[@VERSION]", help="A stored template instead of a text.")
    ] = None,
    value: Annotated[
        list[str] | None, typer.Option(help="A value of the template's placeholder, as name=value; repeatable.")
    ] = None,
    lane: Lane = None,
    country: Annotated[
        str | None, typer.Option(help="Read the number, without + or 00, as a national one of this country, as in ZA.")
    ] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Sender ID.")] = None,
    client_message_id: Annotated[
        str | None, typer.Option(help="Your own id; repeating the call with it does not send twice.")
    ] = None,
    deliver_at: Annotated[str | None, typer.Option(help="Delivery time, such as 2031-06-30T14:00:00Z.")] = None,
    delay: Annotated[
        float | None,
        typer.Option(metavar="DURATION", parser=duration_in(1), help="Delay instead of a time, as in 90s or 1h30m."),
    ] = None,
    validity: Annotated[
        float | None,
        typer.Option(
            metavar="DURATION",
            parser=duration_in(MINUTE_SECONDS),
            help="It is not sent later than this, as in 10m or 2h; a number alone is in minutes.",
        ),
    ] = None,
    field: Annotated[list[str] | None, typer.Option(help="Any other field, as name=value; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Enqueue one message."""
    fields: dict[str, Any] = {
        "to": to,
        "text": text,
        "template": template,
        "values": named_values(value) if value else None,
        "lane": lane,
        "country": country,
        "from": sender,
        "clientMessageId": client_message_id,
        "scheduledDeliveryTime": deliver_at,
        "delay": delay,
        "validityPeriod": validity if validity is None or validity % 1 else int(validity),
    }
    fields |= named_values(field)
    with open_producer() as producer:
        try:
            (answer,) = producer.send_rows([{name: value for name, value in fields.items() if value is not None}])
        except Unavailable as away:
            give_up(away, as_json)
    if as_json:
        print_json(answer_json(answer))
    elif isinstance(answer, Accepted):
        line = f"{answer.status} [bold]{answer.id}[/] lane {answer.lane}, {answer.parts} part(s) {answer.encoding}"
        out.print(line, soft_wrap=True)
        if answer.characters_cut:
            print_line(f"cut: {answer.characters_cut} characters, {answer.text_cut!r}")
        if answer.why_parts:
            print_line(f"{answer.parts} parts: {answer.why_parts}")
        if answer.template or answer.opt_out:
            print_line(_wording(answer))
    else:
        err.print(f"refused {answer}", markup=False)
    raise typer.Exit(Exit.OK if answer.accepted else Exit.REFUSED)


def _wording(answer: Accepted) -> str:
    """Return the template that the text is from, and the opt-out line that was added."""
    template = f"template {answer.template}" if answer.template else ""
    line = f"with the opt-out line of {answer.opt_out}" if answer.opt_out else ""
    return ", ".join(filter(None, (template, line)))


def status(
    message_id: Annotated[str, typer.Argument(help="The message id.")],
    as_json: Json = False,
) -> None:
    """Show the status of a message."""
    from threelane.interfaces.command.ids import whole_id

    message_id = whole_id(message_id)
    with open_producer() as producer:
        try:
            found, now = producer.status(message_id), producer.now()
        except Unavailable as away:
            give_up(away, as_json)
    if found is None:
        not_found(f"{message_id}: unknown, or no longer remembered")
    if as_json:
        print_json(found)
        return
    out.print(_described(found, now))


def _described(found: MessageStatus, now: int) -> Table:
    """Return the status of a message with its values as people read them."""
    table = Table(show_header=False, box=None)
    for name, value in msgspec.structs.asdict(found).items():
        if value not in ("", 0, ()):
            shown = _DESCRIBED[name](value, now) if name in _DESCRIBED else str(value)
            table.add_row(_NAMES.get(name, name.replace("_", " ")), escape(shown))
    return table


def _when(at: int, now: int) -> str:
    return f"{shown_at(at)} ({age(at, now)})"


def _report(line: str, now: int) -> str:
    at, _, status = line.partition(" ")
    return f"{_when(int(at), now)} {status}" if at.isdigit() else line


_NAMES = {
    "accepted_at": "accepted",
    "expires_at": "valid until",
    "due_at": "due",
    "sent_at": "sent",
    "ended_at": "ended",
    "erased_at": "erased",
    "charge_millionths": "charge",
}
_DESCRIBED: dict[str, Callable[[Any, int], str]] = {
    "to": lambda to, _: masked(to),
    **dict.fromkeys(("accepted_at", "expires_at", "due_at", "sent_at", "ended_at", "erased_at"), _when),
    "waits": lambda waits, _: ", ".join(map(duration.written, waits)),
    "charge_millionths": lambda charge, _: f"{credits(charge)} credits",
    "reports": lambda reports, now: "\n".join(_report(one, now) for one in reports),
}


def named_values(pairs: list[str] | None) -> dict[str, str]:
    """Return the pairs of ``--field name=value``; a duration, such as delay=1h, in the unit of its field."""
    return {name: _in_its_unit(name, value) for name, _, value in (pair.partition("=") for pair in pairs or [])}


def _in_its_unit(name: str, value: str) -> str:
    field = BY_SPELLING.get(name)
    unit = DURATION_FIELDS.get(field.name) if field else None
    if unit is None:
        return value
    try:
        return f"{duration.parse(value, unit) / unit:.15g}"
    except ValueError:
        return value  # the field's own refusal explains it


def open_producer() -> Producer:
    settings = load_or_exit(ProducerSettings)
    logs.configure(os.environ.get("THREELANE_LOG_LEVEL", "ERROR"))
    return Producer(settings)


def print_json(value: Any) -> None:
    """Print one JSON value on one line."""
    print(visible_json(msgspec.json.encode(value).decode()))


def answer_json(answer: Any, **more: Any) -> dict[str, Any]:
    """Return an answer in the form of the JSON output."""
    if isinstance(answer, Refused):
        return more | {"accepted": False} | refusal_json(answer)
    fields: dict[str, Any] = msgspec.to_builtins(answer.explained() if isinstance(answer, Accepted) else answer)
    return more | {"accepted": True} | fields


def refusal_json(refused: Refused) -> dict[str, Any]:
    """Return a refusal in the form of the JSON output; ``id`` is the accepted message that conflicts with it."""
    fields = msgspec.structs.asdict(refused.refusal)
    return fields | {"id": fields.pop("accepted_id")}


def print_line(text: str) -> None:
    """Print a sentence without markup."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def not_found(problem: str) -> NoReturn:
    """End the command: the requested object does not exist."""
    err.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.NOT_FOUND)


def no_match(problem: str) -> NoReturn:
    """End the command: its filter matched nothing, so that nothing was changed."""
    err.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.NO_MATCH)


def wrong_usage(problem: str) -> NoReturn:
    err.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.USAGE)


def give_up(away: Unavailable, as_json: bool, counts: Counter[str] | None = None) -> NoReturn:
    if as_json:
        print_json({"unavailable": str(away), "unsure": away.unsure, "summary": counts})
    if counts and counts.total():
        err.print(f"{counts['accepted']} accepted and {counts['refused']} refused before this:", highlight=False)
    err.print(str(away), markup=False, highlight=False)
    sys.stdout.flush()
    raise typer.Exit(Exit.UNAVAILABLE)
