"""Command line of a caller: send, bulk, status."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from producer import bulk as bulk_file
from producer import logs
from producer.accept import Accepted, Answer
from producer.client import Producer, Unavailable
from producer.exits import Exit
from producer.refusal import Refused
from producer.settings import ProducerSettings, load_or_exit

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Lane = Annotated[int | None, typer.Option(help="1 (first), 2 or 3.")]
out, err = Console(), Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the one command line."""
    app.command(epilog="Example: threelane send 27831234567 'Your code is 4711' --lane 1")(send)
    app.command(epilog="Example: threelane bulk messages.csv --json > verdicts.jsonl")(bulk)
    app.command(epilog="Example: threelane status 0f3c... --json")(status)
    app.command(epilog="Example: threelane features --json")(features)


def features(as_json: Json = False) -> None:
    """Show what each of Clickatell's APIs can say: sent as, done by us, or refused at accept."""
    from producer.features import ABILITIES, FEATURES, NEVER, Api

    rows = {feature.name: {api.value: feature.on(api) or None for api in Api} for feature in FEATURES + ABILITIES}
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return
    table = Table("feature", *Api, box=SIMPLE_HEAD)
    for feature in FEATURES + ABILITIES:
        table.add_row(feature.name, *(feature.on(api) if feature.on(api) != NEVER else "-" for api in Api))
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
    for pair in field or []:
        name, _, value = pair.partition("=")
        said[name] = value
    with open_producer() as producer:
        try:
            answer = producer.send_many([{name: value for name, value in said.items() if value is not None}])[0]
        except Unavailable as away:
            give_up(away, as_json)
    if as_json:
        print(_json(answer))
    elif isinstance(answer, Accepted):
        out.print(f"{answer.status} [bold]{answer.id}[/] lane {answer.lane}, {answer.parts} part(s) {answer.encoding}")
    else:
        err.print(f"refused {answer}", markup=False)
    raise typer.Exit(Exit.OK if answer.accepted else Exit.REFUSED)


def bulk(
    file: Annotated[Path, typer.Argument(help="CSV with a header, UTF-8; columns as in the README's table.")],
    as_json: Json = False,
) -> None:
    """Enqueue a file of messages; each bad row is reported with its number and code."""
    told: Counter[str] = Counter(accepted=0, refused=0, repeated=0, parts=0)
    refused: list[tuple[bulk_file.Row, Refused]] = []
    try:
        with open_producer() as producer, file.open("rb") as opened, _progress(as_json) as progress:
            bar = progress.add_task(file.name, total=file.stat().st_size, rows=0)
            for row, answer in bulk_file.send(producer, bulk_file.read_csv(opened)):
                if as_json:
                    print(_json(answer, row=row.number, line=row.line))
                if isinstance(answer, Refused):
                    refused.append((row, answer))
                _count(told, answer)
                if row.number % 100 == 0:
                    read = opened.tell() if opened.seekable() else None  # a pipe cannot tell
                    progress.update(bar, completed=read, rows=row.number)
            progress.update(bar, completed=file.stat().st_size, rows=told["accepted"] + told["refused"])
    except OSError as unreadable:
        wrong_usage(f"{file}: {unreadable.strerror}")
    except bulk_file.WrongFile as wrong:
        wrong_usage(f"{file}: {wrong}")
    except Unavailable as away:
        for answer in away.answers:
            _count(told, answer)
        give_up(away, as_json, told)
    if as_json:
        print(msgspec.json.encode({"summary": told}).decode())
    else:
        _report(told, refused)
    raise typer.Exit(Exit.REFUSED if refused else Exit.OK)


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
        wrong_usage(f"{message_id}: unknown, or ended so long ago that it is forgotten")
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    table = Table(show_header=False, box=None)
    for name, value in msgspec.structs.asdict(found).items():
        if value not in ("", 0, ()):
            table.add_row(name.replace("_", " "), escape(str(value)))
    out.print(table)


def open_producer() -> Producer:
    settings = load_or_exit(ProducerSettings)
    logs.configure(os.environ.get("THREELANE_LOG_LEVEL", "ERROR"))
    return Producer(settings)


def _count(told: Counter[str], answer: Answer) -> None:
    if isinstance(answer, Accepted):
        told["accepted"] += 1
        told["repeated"] += answer.repeated
        told["parts"] += 0 if answer.repeated else answer.parts
    else:
        told["refused"] += 1


def _report(told: Counter[str], refused: list[tuple[bulk_file.Row, Refused]]) -> None:
    if refused:
        table = Table("row", "line", "code", "field", "what is wrong", "what would be right", title="refused")
        for row, answer in refused:
            told_by = (answer.code, answer.field, answer.problem, answer.mend)
            table.add_row(str(row.number), str(row.line), *map(escape, told_by))
        out.print(table)
    again = f", {told['repeated']} of them known already" if told["repeated"] else ""
    out.print(f"{told['accepted']} accepted ({told['parts']} parts{again}), {told['refused']} refused")


def _progress(quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[rows]} rows"),
    )
    return Progress(*columns, TimeElapsedColumn(), console=err, disable=quiet, transient=True)


def _json(answer: Answer, **more: Any) -> str:
    return msgspec.json.encode(more | {"accepted": answer.accepted} | msgspec.structs.asdict(answer)).decode()


def wrong_usage(problem: str) -> NoReturn:
    err.print(problem, markup=False, highlight=False)
    raise typer.Exit(Exit.USAGE)


def give_up(away: Unavailable, as_json: bool, told: Counter[str] | None = None) -> NoReturn:
    if as_json:
        print(msgspec.json.encode({"unavailable": str(away), "unsure": away.unsure, "summary": told}).decode())
    if told and told.total():
        err.print(f"{told['accepted']} accepted and {told['refused']} refused before this:", highlight=False)
    err.print(str(away), markup=False, highlight=False)
    sys.stdout.flush()
    raise typer.Exit(Exit.UNAVAILABLE)
