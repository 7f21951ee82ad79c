"""Command send: enqueues one message."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from threelane.contract.duration import MINUTE_SECONDS
from threelane.interfaces.command.caller import (
    Lane,
    answer_json,
    each_once,
    field_options,
    give_up,
    named_values,
    open_producer,
)
from threelane.interfaces.command.printing import Json, err, out, print_json, print_line
from threelane.interfaces.command.values import credits, duration_in
from threelane.producer.accept import Accepted
from threelane.producer.outage import Unavailable
from threelane.producer.rehearse import Rehearsed
from threelane.runtime.exits import Exit


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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print account, parts, cost or refusal; send nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Enqueue one message."""
    options: dict[str, tuple[str, Any]] = {
        "TO": ("to", to),
        "TEXT": ("text", text),
        "--template": ("template", template),
        "--value": ("values", named_values("--value", value) if value else None),
        "--lane": ("lane", lane),
        "--country": ("country", country),
        "--from": ("from", sender),
        "--client-message-id": ("clientMessageId", client_message_id),
        "--deliver-at": ("scheduledDeliveryTime", deliver_at),
        "--delay": ("delay", delay),
        "--validity": ("validityPeriod", validity if validity is None or validity % 1 else int(validity)),
    }
    fields = each_once(options | field_options(field))
    with open_producer() as producer:
        try:
            (answer,) = producer.rehearse([fields]) if dry_run else producer.send_rows([fields])
        except Unavailable as away:
            give_up(away, as_json)
    if as_json:
        print_json(answer_json(answer) | ({"dry_run": True} if dry_run else {}))
    elif isinstance(answer, Rehearsed):
        out.print(_rehearsed(answer), soft_wrap=True, markup=False, highlight=False)
    elif isinstance(answer, Accepted):
        line = f"{answer.status} [bold]{answer.id}[/] lane {answer.lane}, {answer.parts} part(s) {answer.encoding}"
        line += f", account {answer.account}" if answer.account else ""
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


def _rehearsed(answer: Rehearsed) -> str:
    """Return what would happen to a message, in a line."""
    if answer.repeated:
        return f"it was accepted before: {answer.id}; nothing would be sent" + _through(answer)
    cost = f"about {credits(answer.estimate_millionths)} {answer.currency}"
    parts = f"{answer.parts} part(s) {answer.encoding}, {cost}"
    return f"it would be accepted: lane {answer.lane}, {parts}{_through(answer)}; nothing was sent"


def _through(answer: Rehearsed) -> str:
    if not answer.account:
        return ""
    by = f" by the route {answer.route}" if answer.route else ""
    stand_by = f", stand-by {answer.stand_by}" if answer.stand_by else ""
    return f", account {answer.account}{by}{stand_by}"


def _wording(answer: Accepted) -> str:
    """Return the template that the text is from, and the opt-out line that was added."""
    template = f"template {answer.template}" if answer.template else ""
    line = f"with the opt-out line of {answer.opt_out}" if answer.opt_out else ""
    return ", ".join(filter(None, (template, line)))
